/** One event of a blob, as the account's change feed tells it. */
export interface BlobEvent {
  readonly container: string
  /** The blob's. */
  readonly name: string
  /** `written`: it has other content, or is new. `changed`: its properties, metadata, tags or tier. `snapshot`: one was made. */
  readonly kind: 'written' | 'changed' | 'removed' | 'snapshot'
  /** Without quotes; of the version that the change made. `undefined` where the event tells none. */
  readonly etag: string | undefined
  readonly sizeBytes: number | undefined
  readonly contentType: string | undefined
  /** Of accounts that keep versions. */
  readonly versionId: string | undefined
  /** The time that names the snapshot. */
  readonly snapshot: string | undefined
  /** When the service made the change; milliseconds since the epoch. */
  readonly timeMs: number
  /** Azure's names: `BlobCreated`, `PutBlockList`. */
  readonly eventType: string
  readonly api: string | undefined
  /** Of the event: the same when it is told again. */
  readonly id: string | undefined
}

/** An event after which a blob is not what it was. */
export type BlobChange = Omit<BlobEvent, 'kind'> & {
  readonly kind: Exclude<BlobEvent['kind'], 'snapshot'>
}

/** What an event says of a blob; `undefined` for one that changes none, such as a snapshot. */
export function blobChangeOf(value: unknown): BlobChange | undefined {
  const event = blobEventOf(value)
  if (event === undefined || event.kind === 'snapshot') return undefined
  const { kind } = event
  return { ...event, kind }
}

/** What an event says of a blob; `undefined` for one that is of none. */
export function blobEventOf(event: unknown): BlobEvent | undefined {
  const { subject, eventType, eventTime, id, data } = fieldsOf(event)
  const [, container, name] =
    typeof subject === 'string' ? (subjectPattern.exec(subject) ?? []) : []
  if (container === undefined || name === undefined) return undefined
  if (typeof eventType !== 'string' || unrelated.has(eventType)) return undefined
  const { etag, api, contentLength, contentType, blobVersion, snapshot } = fieldsOf(data)
  const timeMs = typeof eventTime === 'string' ? Date.parse(eventTime) : Number.NaN
  const bare = textOf(etag)
  return {
    container,
    name,
    kind: kinds.get(eventType) ?? 'changed',
    etag: bare === undefined ? undefined : bareEtag(bare),
    sizeBytes: typeof contentLength === 'number' ? contentLength : undefined,
    contentType: textOf(contentType),
    versionId: textOf(blobVersion),
    snapshot: textOf(snapshot),
    timeMs: Number.isNaN(timeMs) ? 0 : timeMs,
    eventType,
    api: textOf(api),
    id: textOf(id),
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Without the quotes that headers have and the feed has not. */
export function bareEtag(etag: string): string {
  return etag.replace(/^"(.*)"$/, '$1')
}

const subjectPattern = /^\/blobServices\/[^/]+\/containers\/([^/]+)\/blobs\/(.+)$/s
const kinds: ReadonlyMap<string, BlobEvent['kind']> = new Map([
  ['BlobCreated', 'written'],
  ['BlobDeleted', 'removed'],
  ['BlobSnapshotCreated', 'snapshot'],
])
/** A blob is what it was after these. Others, of versions of the feed to come, are taken for changes. */
const unrelated: ReadonlySet<string> = new Set(['Control', 'RestorePointMarkerCreated'])

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
