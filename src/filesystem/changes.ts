import type { BlobStore, CallOptions } from '../blob/store.ts'
import type { BlobEvent } from '../change-feed/blob-change.ts'
import {
  type FeedGap,
  FeedHistory,
  type FeedPosition,
  positionAt,
} from '../change-feed/feed-history.ts'
import type { Clock } from '../clock.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { expectFunction } from '../expect-option.ts'
import type { BlobPath } from '../path.ts'
import { changesContinuation, readChangesContinuation } from './changes-continuation.ts'
import { fullName } from './file-info.ts'

/** One change of a file, as the account's change feed tells it. */
export interface FileChange {
  /** `container/path`. */
  readonly name: string
  /** `written`: new, or with other content. `changed`: properties, metadata, tags or tier. `snapshot`: one was made of it. */
  readonly kind: BlobEvent['kind']
  /** When the service made the change. */
  readonly time: Date
  /** Bytes after the change; of what was removed, before it. */
  readonly size: number | undefined
  /** Of what the change made, quotes included: that of `info`. */
  readonly etag: string | undefined
  readonly contentType: string | undefined
  /** On accounts that keep versions, where the feed tells it. */
  readonly versionId: string | undefined
  readonly snapshot: string | undefined
  /** Azure's names: `BlobCreated`, `BlobTierChanged`; and what was called, `PutBlockList`. */
  readonly eventType: string
  readonly api: string | undefined
  /** The same for the same event: what is told twice is known by it. */
  readonly id: string | undefined
}

export interface ChangesOptions extends CallOptions {
  /** Changes of this time and later; all that the feed keeps when absent. */
  readonly since?: Date | undefined
  /** Where an iteration goes on that was interrupted, instead of `since`. */
  readonly continuation?: string | undefined
  /** Names below the path begin so, as that of `find`. */
  readonly prefix?: string | undefined
  /** Waits for changes to come, until aborted; ends with what there is otherwise. */
  readonly follow?: boolean | undefined
  /** Between two readings with `follow`; milliseconds, 60,000 when absent. */
  readonly intervalMs?: number | undefined
  /**
   * Goes on behind parts of the feed that are damaged, each of which is told here: who keeps an index lists anew what may have
   * changed in that hour. Absent: the first is `EIO`.
   */
  readonly onDamage?: ((damage: ChangesDamage) => void) | undefined
}

/** A part of the change feed that is damaged: what the account told there is not known. */
export interface ChangesDamage {
  /** The file of the feed, in the container `$blobchangefeed`. */
  readonly file: string
  /** Changes of this hour, give or take 15 minutes, are missing. */
  readonly hour: Date
  /** Its first byte, and the one behind its last; that is `undefined` until the service has written on. */
  readonly start: number
  readonly end: number | undefined
  readonly error: FileSystemError
}

/** Changes, and where to go on. */
export interface ChangeListing extends AsyncGenerator<FileChange, void> {
  /** Behind the change that was given last: text that another process goes on from; no secret. */
  checkpoint(): { readonly continuation: string }
}

/** What {@link changesOf} works with. */
export interface ChangesPlace {
  readonly account: string
  readonly store: BlobStore
  readonly clock: Clock
  readonly below: BlobPath
}

/** See `AzureBlobFileSystem.changes`. */
export function changesOf(place: ChangesPlace, options: ChangesOptions): ChangeListing {
  check(options)
  const { sinceMs, position } = startOf(place.account, options)
  const { onDamage } = options
  const history = new FeedHistory(
    place.store,
    position,
    onDamage && ((gap) => onDamage(damageOf(gap))),
  )
  const checkpoint = () => ({
    continuation: changesContinuation({
      account: place.account,
      sinceMs,
      position: history.position(),
    }),
  })
  return Object.assign(changes(place, history, { ...options, sinceMs }), { checkpoint })
}

interface Start {
  readonly sinceMs: number
  readonly position: FeedPosition
}

function startOf(account: string, { since, continuation }: ChangesOptions): Start {
  if (continuation !== undefined) return readChangesContinuation(continuation, account)
  const sinceMs = since?.getTime() ?? 0
  return { sinceMs, position: positionAt(sinceMs) }
}

function damageOf({ path, timeMs, ...gap }: FeedGap): ChangesDamage {
  return { file: path, hour: new Date(timeMs), ...gap }
}

function check({ since, continuation, intervalMs, onDamage }: ChangesOptions): void {
  if (onDamage !== undefined) expectFunction('onDamage', onDamage, 'a function')
  if (since !== undefined && !(since instanceof Date && !Number.isNaN(since.getTime()))) {
    throw new TypeError('since: expected a valid Date')
  }
  if (since !== undefined && continuation !== undefined) {
    throw new TypeError('since: expected none beside continuation, which knows where it began')
  }
  if (intervalMs !== undefined && !(intervalMs >= 1)) {
    throw new RangeError(`intervalMs: expected milliseconds from 1 on, got ${intervalMs}`)
  }
}

async function* changes(
  { clock, below }: ChangesPlace,
  history: FeedHistory,
  options: ChangesOptions & { readonly sinceMs: number },
): AsyncGenerator<FileChange, void> {
  const { signal, sinceMs, prefix = '', follow = false, intervalMs = 60_000 } = options
  const isWanted = wanted(below, prefix)
  signal?.throwIfAborted()
  for (;;) {
    for await (const event of reading(history, { signal })) {
      if (event.timeMs >= sinceMs && isWanted(event)) yield changeOf(event)
      signal?.throwIfAborted()
    }
    if (!follow) return
    await clock.sleep(intervalMs, signal)
  }
}

/** Says what is wrong with an account rather than with a blob that nobody has named. */
async function* reading(
  history: FeedHistory,
  options: CallOptions,
): AsyncGenerator<BlobEvent, void> {
  try {
    yield* history.read(options)
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT')) throw unread('ENOTSUP', noFeed, error)
    if (isFileSystemError(error, 'EACCES')) throw unread('EACCES', noRole, error)
    throw error
  }
}

function unread(code: 'EACCES' | 'ENOTSUP', detail: string, cause: unknown): FileSystemError {
  return new FileSystemError(code, 'changes', { path: '$blobchangefeed', detail, cause })
}

const noFeed =
  'the account keeps no change feed, or has not written any of it yet: turn it on (az storage account blob-service-properties update --enable-change-feed true); hierarchical accounts have none'
const noRole =
  'the change feed may not be read: it takes the role Storage Blob Data Reader on the account or on the container $blobchangefeed, and of a connector read and list for that container'

function wanted(below: BlobPath, prefix: string): (event: BlobEvent) => boolean {
  if (below.container === '')
    return ({ container, name }) => `${container}/${name}`.startsWith(prefix)
  const directory = below.name === '' ? '' : `${below.name}/`
  return ({ container, name }) =>
    container === below.container &&
    ((name === below.name && prefix === '') || name.startsWith(`${directory}${prefix}`))
}

function changeOf(event: BlobEvent): FileChange {
  const { container, name, timeMs, sizeBytes, etag, ...rest } = event
  return {
    name: fullName({ container, name }),
    ...rest,
    time: new Date(timeMs),
    size: sizeBytes,
    etag: etag === undefined ? undefined : `"${etag}"`,
  }
}
