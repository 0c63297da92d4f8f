import type { ChunkPosition, FeedPosition } from '../change-feed/feed-history.ts'

/** Where an iteration over changes stands. */
interface Standing {
  readonly account: string
  readonly sinceMs: number
  readonly position: FeedPosition
}

/** `standing` as text: base64url of JSON, without anything that is secret. */
export function changesContinuation(standing: Standing): string {
  return Buffer.from(JSON.stringify({ version, ...standing })).toString('base64url')
}

/** What {@link changesContinuation} made. `TypeError` for anything else, and for that of another account. */
export function readChangesContinuation(text: string, account: string): Standing {
  const standing = parsed(text)
  if (standing === undefined)
    throw new TypeError('continuation: expected what checkpoint() of changes() gave')
  if (standing.account === account) return standing
  throw new TypeError(
    `continuation: expected one of account '${account}', got one of '${standing.account}'`,
  )
}

function parsed(text: string): Standing | undefined {
  const value = fieldsOf(json(text))
  const position = fieldsOf(value['position'])
  const { account, sinceMs } = value
  const { newestMs } = position
  const open = openOf(position['open'])
  if (value['version'] !== version || typeof account !== 'string') return undefined
  if (typeof sinceMs !== 'number' || typeof newestMs !== 'number' || open === undefined)
    return undefined
  return { account, sinceMs, position: { newestMs, open } }
}

function openOf(value: unknown): FeedPosition['open'] | undefined {
  const open: Record<string, Record<string, ChunkPosition>> = {}
  if (typeof value !== 'object' || value === null) return undefined
  for (const [segment, chunks] of Object.entries(value)) {
    open[segment] = {}
    for (const [name, at] of Object.entries(fieldsOf(chunks))) {
      const { offset, rows } = fieldsOf(at)
      if (!isCount(offset) || !isCount(rows)) return undefined
      open[segment][name] = { offset, rows }
    }
  }
  return open
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function json(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
  } catch {
    // Who asked says that it is none.
    return undefined
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

const version = 1
