import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { repeat } from '../../clock.ts'
import { underEither } from '../../concurrency.ts'
import { FileSystemError } from '../../errors.ts'
import { type DriveReport, readReport, readUnsaved, type UnsavedFile } from './drive-report.ts'
import type { DriveRecord } from './registry.ts'

/** How long a daemon may take to tell about itself. */
const reportTimeoutMs = 3000

/** Asks the daemon behind `record` for its report. Rejects with EIO when it does not answer. */
export async function askReport(record: DriveRecord, signal: AbortSignal): Promise<DriveReport> {
  const slow = AbortSignal.timeout(reportTimeoutMs)
  const asked = await underEither([slow, signal], async (limit) => {
    const answer = await ask(record, '/report', limit)
    return answer.body()
  })
  return understood(readReport(asked), record)
}

/**
 * Asks the daemon behind `record` to tell in the end what it could not store; resolves when it has agreed, with a call that
 * waits for it. Both reject with EIO when it does not answer, the call when it ends without a word.
 */
export async function askEnd(
  record: DriveRecord,
  signal: AbortSignal,
): Promise<() => Promise<readonly UnsavedFile[]>> {
  const slow = new AbortController()
  const stop = repeat(reportTimeoutMs, () => slow.abort())
  try {
    const { body } = await ask(record, '/end', AbortSignal.any([signal, slow.signal]))
    return async () => understood(readUnsaved(await body()), record)
  } finally {
    stop()
  }
}

/**
 * Asks the daemon behind `record` to hand its drive over; resolves when it is about to end. Rejects with EBUSY, and the
 * daemon's words, when it will not.
 */
export async function askHandOver(record: DriveRecord, signal: AbortSignal): Promise<void> {
  const { body } = await ask(record, '/hand-over', signal, 'POST')
  await body()
}

function understood<Value>(value: Value | undefined, { directory, pid }: DriveRecord): Value {
  if (value !== undefined) return value
  const detail = `its daemon (pid ${pid}) answers as this version of abfs does not: unmount the drive and mount it anew`
  throw silent(directory, detail)
}

interface Answer {
  body(): Promise<unknown>
}

/** Resolves when the head of an answer has come. */
async function ask(
  record: DriveRecord,
  path: string,
  signal: AbortSignal,
  method: 'GET' | 'POST' = 'GET',
): Promise<Answer> {
  const { controlSocket: socketPath, directory } = record
  if (socketPath === undefined) throw silent(directory, 'its daemon serves no socket')
  try {
    const sent = request({ socketPath, path, signal, method })
    sent.end()
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    if (response.statusCode === 200) return { body: () => bodyOf(response, directory) }
    const said = errorOf(await json(response))
    if (response.statusCode !== 409) throw silent(directory, said)
    throw new FileSystemError('EBUSY', 'restart', { path: directory, detail: said })
  } catch (cause) {
    if (cause instanceof FileSystemError) throw cause
    throw silent(directory, 'its daemon does not answer', cause)
  }
}

async function bodyOf(response: IncomingMessage, directory: string): Promise<unknown> {
  try {
    return await json(response)
  } catch (cause) {
    throw silent(directory, 'its daemon ended before it answered', cause)
  }
}

function errorOf(body: unknown): string {
  const error =
    typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  return typeof error === 'string' ? error : 'the daemon refused'
}

function silent(path: string, detail: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EIO', 'ask', { path, detail, cause })
}
