import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { FileSystemError } from '../../errors.ts'
import { selfCommand } from '../self.ts'

/** A connector in a process of its own, as it runs beside clients in earnest. */
export interface ConnectorProcess {
  readonly url: string
  readonly pid: number
  /** Rejects when it ends before `close`; never resolves. */
  readonly failed: Promise<never>
  /** Ends it and waits for that. Never throws. */
  close(): Promise<void>
}

/** Starts `abfs connector serve` on `configFile`; resolves once it listens. */
export async function spawnConnector(configFile: string): Promise<ConnectorProcess> {
  const [program, argv] = selfCommand(['connector', 'serve', '--config', configFile])
  const environment = { PATH: process.env['PATH'], ABFS_LOG_LEVEL: 'warn' }
  const child = spawn(program, argv, {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: environment,
    // Its own group: Ctrl-C reaches the sandbox alone, which ends it in order.
    detached: true,
  })
  const stderr: string[] = []
  child.stderr?.on('data', (data: Buffer) => {
    stderr.push(data.toString())
    process.stderr.write(data)
  })
  const ended = once(child, 'exit').then(() => undefined)
  const failed = ended.then((): never => {
    const detail = `the connector ended: ${stderr.join('').trim().split('\n').at(-1) ?? ''}`
    throw new FileSystemError('EIO', 'sandbox.connector', { detail, path: configFile })
  })
  failed.catch(() => undefined)
  const [message] = (await Promise.race([once(child, 'message'), failed])) as [{ url: string }]
  return {
    url: message.url,
    pid: child.pid ?? 0,
    failed,
    close: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}
