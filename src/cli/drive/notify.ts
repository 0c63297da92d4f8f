import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import type { Environment } from '../../config.ts'
import { errorFields } from './log.ts'

/**
 * Tells the service manager that waits for this process (sd_notify(3)), where one does. Node has no
 * datagram sockets with names, so systemd's own program sends it: units need NotifyAccess=all.
 */
export async function notifyServiceManager(
  assignments: readonly string[],
  environment: Environment,
  log: Logger,
): Promise<void> {
  if (!environment['NOTIFY_SOCKET']) return
  try {
    const argv = [`--pid=${process.pid}`, ...assignments]
    await promisify(execFile)('systemd-notify', argv, { timeout: 10_000 })
  } catch (error) {
    log.warn(errorFields(error), 'the service manager could not be told')
  }
}
