/** One change of a blob, as the account's change feed tells it. */
export interface BlobChange {
  readonly container: string
  /** The blob's. */
  readonly name: string
  /** `written`: it has other content, or is new. `changed`: its properties, metadata, tags or tier. */
  readonly kind: 'written' | 'changed' | 'removed'
  /** Without quotes; of the version that the change made. `undefined` where the event tells none. */
  readonly etag: string | undefined
  /** When the service made the change; milliseconds since the epoch. */
  readonly timeMs: number
  /** Azure's names: `BlobCreated`, `PutBlockList`. */
  readonly eventType: string
  readonly api: string | undefined
}

/** What an event says of a blob; `undefined` for one that changes none, such as a snapshot. */
export function blobChangeOf(event: unknown): BlobChange | undefined {
  const { subject, eventType, eventTime, data } = fieldsOf(event)
  const [, container, name] =
    typeof subject === 'string' ? (subjectPattern.exec(subject) ?? []) : []
  if (container === undefined || name === undefined) return undefined
  if (typeof eventType !== 'string' || unrelated.has(eventType)) return undefined
  const { etag, api } = fieldsOf(data)
  const timeMs = typeof eventTime === 'string' ? Date.parse(eventTime) : Number.NaN
  return {
    container,
    name,
    kind: kinds.get(eventType) ?? 'changed',
    etag: typeof etag === 'string' && etag !== '' ? bareEtag(etag) : undefined,
    timeMs: Number.isNaN(timeMs) ? 0 : timeMs,
    eventType,
    api: typeof api === 'string' ? api : undefined,
  }
}

/** Without the quotes that headers have and the feed has not. */
export function bareEtag(etag: string): string {
  return etag.replace(/^"(.*)"$/, '$1')
}

const subjectPattern = /^\/blobServices\/[^/]+\/containers\/([^/]+)\/blobs\/(.+)$/s
const kinds: ReadonlyMap<string, BlobChange['kind']> = new Map([
  ['BlobCreated', 'written'],
  ['BlobDeleted', 'removed'],
])
/** A blob is what it was after these. Others, of versions of the feed to come, are taken for changes. */
const unrelated: ReadonlySet<string> = new Set([
  'BlobSnapshotCreated',
  'Control',
  'RestorePointMarkerCreated',
])

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
