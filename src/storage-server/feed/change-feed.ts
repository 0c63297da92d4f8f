/**
 * The change feed of an account, as the service writes it: hourly segments, two shards each, chunks of append blobs. It is
 * published some time after the changes.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import { faultChannel } from '../../telemetry.ts'
import type { ChangeSink, StorageAccount } from '../model/account.ts'
import type { Container } from '../model/container.ts'
import type { PathChange } from '../model/path-index.ts'
import type { BlobRecord, PathState } from '../model/record.ts'
import type { StorageRequest } from '../wire/request.ts'
import { avroBlock, avroHeader } from './avro-writer.ts'
import { type ChangeEvent, type EventType, encodeEvent, eventSchema } from './change-event.ts'

export interface ChangeFeedOptions {
  readonly account: StorageAccount
  readonly clock: Clock
  /** How long changes wait until the feed has them; milliseconds. 0: it has them when their request is answered. */
  readonly delayMs: number
  /** A chunk that is this long is followed by another. Default 4 MiB. */
  readonly chunkBytes?: number | undefined
}

/** The container of the feed, which nobody else may write to. */
export const feedContainer = '$blobchangefeed'

interface Chunk {
  readonly name: string
  readonly sync: Uint8Array
}

/** Turns the feed of an account on. */
export function openChangeFeed(options: ChangeFeedOptions): { close(): Promise<void> } {
  const feed = new ChangeFeed(options)
  options.account.feed = feed
  return feed
}

class ChangeFeed implements ChangeSink {
  readonly #options: ChangeFeedOptions
  readonly #verbs = new AsyncLocalStorage<{ verb: string; request: StorageRequest }>()
  readonly #closing = new AbortController()
  readonly #chunks = new Map<string, Chunk>()
  #waiting: ChangeEvent[] = []
  #publishing: Promise<void>
  #sequence = 0
  #hour: number | undefined

  constructor(options: ChangeFeedOptions) {
    this.#options = options
    this.#publishing = this.#begin()
  }

  async during<T>(verb: string, request: StorageRequest, run: () => T | Promise<T>): Promise<T> {
    const result = await this.#verbs.run({ verb, request }, run)
    if (this.#options.delayMs === 0) await this.#publish()
    return result
  }

  note(container: string, change: PathChange, before: PathState | undefined): void {
    const made = this.#verbs.getStore()
    if (container === feedContainer || made === undefined || unpublished.has(made.verb)) return
    if (change.kind === 'rename') return
    const after = change.kind === 'put' ? change.state : undefined
    const eventType = typeOf(before, after, made.verb)
    const record = after?.current ?? before?.current
    if (eventType === undefined || record?.kind !== 'blob') return
    const name = change.kind === 'put' ? change.state.name : change.name
    this.#waiting.push(this.#event(made, { container, name, eventType, record }))
    const { clock, delayMs } = this.#options
    if (delayMs === 0 || this.#waiting.length > 1) return
    const later = clock.sleep(delayMs, this.#closing.signal)
    void later.then(() => this.#publish()).catch(() => undefined)
  }

  /** What waits is published. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#publish()
  }

  #event(
    { verb, request }: { verb: string; request: StorageRequest },
    what: Pick<ChangeEvent, 'container' | 'name' | 'eventType' | 'record'>,
  ): ChangeEvent {
    const { requestId, headers } = request
    this.#sequence += 1
    return {
      ...what,
      account: this.#options.account.settings.name,
      timeMs: this.#options.account.nowMs(),
      id: randomUUID(),
      api: verb,
      requestId,
      clientRequestId: headers['x-ms-client-request-id'] ?? '',
      sequence: this.#sequence,
    }
  }

  #publish(): Promise<void> {
    this.#publishing = this.#publishing.then(() => this.#append()).catch(report)
    return this.#publishing
  }

  async #begin(): Promise<void> {
    const { account } = this.#options
    const now = account.nowMs()
    if (account.container(feedContainer) !== undefined) return
    const stamps = { etag: account.nextEtag(), lastModifiedMs: now }
    account.putContainer({ name: feedContainer, ...stamps, metadata: {}, policies: new Map() })
    await this.#put('idx/segments/1601/01/01/0000/meta.json', manifest(new Date(firstMs), [], true))
    await this.#openHour(hourOf(now))
  }

  async #append(): Promise<void> {
    const events = this.#waiting
    this.#waiting = []
    if (events.length === 0) return
    const hour = hourOf(this.#options.account.nowMs())
    if (hour !== this.#hour) await this.#openHour(hour)
    for (let shard = 0; shard < shardCount; shard += 1) {
      const own = events.filter((event) => shardOf(event) === shard)
      if (own.length > 0) await this.#appendTo(shardPrefix(shard, hour), own)
    }
    await this.#putSegments(hour)
  }

  /** The hour before is final: nothing is appended to it any more. */
  async #openHour(hour: number): Promise<void> {
    const last = this.#hour
    this.#hour = hour
    if (last !== undefined) await this.#putManifest(last, true)
    await this.#putManifest(hour, false)
    await this.#putSegments(hour)
  }

  #putManifest(hour: number, isFinal: boolean): Promise<void> {
    const shards = Array.from({ length: shardCount }, (_, shard) => shardPrefix(shard, hour))
    const name = `idx/segments/${placeOf(hour)}/meta.json`
    return this.#put(name, manifest(new Date(hour), shards, isFinal))
  }

  #putSegments(hour: number): Promise<void> {
    const lastConsumable = new Date(hour).toISOString()
    const lastModifiedTime = new Date(this.#options.account.nowMs()).toISOString()
    const storageDiagnostics = { version: 0, lastModifiedTime, data: {} }
    const said = { version: 0, lastConsumable, storageDiagnostics }
    return this.#put('meta/segments.json', JSON.stringify(said))
  }

  async #appendTo(prefix: string, events: readonly ChangeEvent[]): Promise<void> {
    const chunk = this.#chunkOf(prefix)
    const known = this.#container.paths.get(chunk.name)?.current
    const parts = [avroBlock(events.map(encodeEvent), chunk.sync)]
    if (known === undefined) parts.unshift(avroHeader(eventSchema, chunk.sync))
    const before = known?.kind === 'blob' ? known : undefined
    await this.#store(chunk.name, Buffer.concat(parts), 'avro/binary', before)
  }

  /** The last chunk of a shard, or the one behind it where that is full, or was begun by another run. */
  #chunkOf(prefix: string): Chunk {
    const known = this.#chunks.get(prefix)
    const current = known && this.#container.paths.get(known.name)?.current
    const sizeBytes = current?.kind === 'blob' ? current.content.sizeBytes : 0
    if (known !== undefined && sizeBytes < (this.#options.chunkBytes ?? fullBytes)) return known
    const named = (index: number) => `${prefix}${String(index).padStart(5, '0')}.avro`
    let index = 0
    while (this.#container.paths.get(named(index))?.current !== undefined) index += 1
    const chunk = { name: named(index), sync: randomBytes(16) }
    this.#chunks.set(prefix, chunk)
    return chunk
  }

  #put(name: string, json: string): Promise<void> {
    return this.#store(name, Buffer.from(json), 'application/json')
  }

  async #store(
    name: string,
    data: Uint8Array,
    contentType: string,
    before?: BlobRecord,
  ): Promise<void> {
    const { account } = this.#options
    const extent = await account.extents.write(data)
    const { sizeBytes = 0, extents = [] } = before?.content ?? {}
    const nowMs = account.nowMs()
    const current: BlobRecord = {
      kind: 'blob',
      blobType: contentType === 'application/json' ? 'BlockBlob' : 'AppendBlob',
      etag: account.nextEtag(),
      createdMs: before?.createdMs ?? nowMs,
      lastModifiedMs: nowMs,
      metadata: {},
      headers: { contentType },
      tags: {},
      tier: { name: 'Hot', inferred: true },
      writtenBy: 'blob',
      content: { sizeBytes: sizeBytes + data.byteLength, extents: [...extents, extent] },
      ...(before === undefined ? {} : { appendedBlocks: (before.appendedBlocks ?? 0) + 1 }),
    }
    this.#container.paths.put({ name, current })
  }

  get #container(): Container {
    const container = this.#options.account.container(feedContainer)
    if (container === undefined) throw new Error('the change feed was removed')
    return container
  }
}

/** What became of the current blob of a name; `undefined` where it is what it was. */
function typeOf(
  before: PathState | undefined,
  after: PathState | undefined,
  verb: string,
): EventType | undefined {
  if (verb === 'SnapshotBlob') return 'BlobSnapshotCreated'
  if (before?.current === after?.current) return undefined
  if (after?.current === undefined) return 'BlobDeleted'
  if (before?.current === undefined || creating.has(verb)) return 'BlobCreated'
  return verb === 'SetBlobTier' ? 'BlobTierChanged' : 'BlobPropertiesUpdated'
}

function manifest(begin: Date, shards: readonly string[], isFinal: boolean): string {
  return JSON.stringify({
    version: 0,
    begin: begin.toISOString(),
    intervalSecs: 3600,
    status: isFinal ? 'Finalized' : 'Publishing',
    config: { version: 0, numShards: shards.length, recordsFormat: 'avro', formatSchemaVersion: 3 },
    chunkFilePaths: shards.map((prefix) => `${feedContainer}/${prefix}`),
  })
}

/** All changes of a blob are in one. */
function shardOf({ container, name }: ChangeEvent): number {
  const [first = 0] = createHash('sha256').update(`${container}/${name}`).digest()
  return first % shardCount
}

function shardPrefix(shard: number, hour: number): string {
  return `log/${String(shard).padStart(2, '0')}/${placeOf(hour)}/`
}

function placeOf(hour: number): string {
  const [date = '', time = ''] = new Date(hour).toISOString().split('T')
  return `${date.replaceAll('-', '/')}/${time.slice(0, 2)}00`
}

function hourOf(timeMs: number): number {
  return Math.floor(timeMs / hourMs) * hourMs
}

function report(cause: unknown): void {
  const error = cause instanceof Error ? cause : new Error('not an error', { cause })
  faultChannel.publish({ operation: 'sandbox.changeFeed', path: feedContainer, error })
}

/** Nothing of them is in the feed: no event is documented for them. */
const unpublished: ReadonlySet<string> = new Set([
  'AppendBlock',
  'AppendBlockFromUrl',
  'PutPage',
  'PutPageFromUrl',
  'ClearPages',
])
const creating: ReadonlySet<string> = new Set([
  'PutBlob',
  'PutBlobFromUrl',
  'PutBlockList',
  'CopyBlob',
  'CopyBlobFromUrl',
])
const shardCount = 2
const hourMs = 3_600_000
const firstMs: number = Date.UTC(1601, 0, 1)
const fullBytes = 4 * 1024 * 1024
