import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { FileSystemError } from '../../errors.ts'
import { type DriveReport, driveReport } from './drive-report.ts'
import type { DriveRecord } from './registry.ts'

/** How long a daemon may take to tell about itself. */
const reportTimeoutMs = 3000

/** Asks the daemon behind `record` for its report. Rejects with EIO when it does not answer. */
export async function askReport(record: DriveRecord, signal: AbortSignal): Promise<DriveReport> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(reportTimeoutMs)])
  return driveReport.parse(await ask(record, '/report', limit))
}

async function ask(record: DriveRecord, path: string, signal: AbortSignal): Promise<unknown> {
  const { controlSocket: socketPath, directory } = record
  if (socketPath === undefined) throw silent(directory, 'its daemon serves no socket')
  let status: number | undefined
  let body: unknown
  try {
    const sent = request({ socketPath, path, signal })
    sent.end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    status = response.statusCode
    body = await json(response)
  } catch (cause) {
    throw silent(directory, 'its daemon does not answer', cause)
  }
  if (status !== 200)
    throw new FileSystemError('EIO', path.slice(1), { path: directory, detail: errorOf(body) })
  return body
}

function errorOf(body: unknown): string {
  const error =
    typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  return typeof error === 'string' ? error : 'the daemon refused'
}

function silent(path: string, detail: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EIO', 'ask', { path, detail, cause })
}
