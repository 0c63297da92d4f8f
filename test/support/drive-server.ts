/**
 * Run as a process of its own: mounts the drive over an account in memory, says so, and serves until
 * the mount is gone. Takes {@link DriveOptions} as JSON in the first argument. The message
 * `remount` mounts the same account again, with nothing left of what the first drive knew; `{"anew": options}` an empty one, with
 * other options; `block` lets JavaScript hang for ever, `{"hangUntil": fifo}` until somebody writes there; `settle` awaits the
 * disk cache; `forgotten` tells how many lookups the kernel has taken back, and how often names were asked for;
 * `{"put": name, "text": text}` stores a blob as another client would.
 */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { RemovingBlobStore } from '../../src/blob/removing-store.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { type Mount, mount } from '../../src/fuse/mount.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import { faultChannel } from '../../src/telemetry.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { DiskCache } from '../../src/transfer/disk-cache.ts'
import { Vfs } from '../../src/vfs/vfs.ts'

/** What the server is told. */
export interface DriveOptions {
  readonly mountpoint: string
  readonly spoolDirectory: string
  /** Keeps blocks there. */
  readonly cacheDirectory?: string
  readonly readOnly?: boolean
  readonly passthrough?: boolean
  /** Blobs that are there before the mount: names and sizes. */
  readonly blobs?: Readonly<Record<string, number>>
  /** Default 5,000. */
  readonly listingTtlMs?: number
  /** Default 8 MiB. */
  readonly blockBytes?: number
  /** Default 4 MiB. */
  readonly spoolMemoryBytes?: number
  /** Default 1,000. */
  readonly attrTtlMs?: number
  /** Default false. */
  readonly hierarchical?: boolean
  /** As `VfsOptions`, these three. */
  readonly writeBack?: boolean
  readonly writeBackQuietMs?: number
  readonly journalDirectory?: string
}

const container = 'box'

function say(message: object): void {
  process.send?.(message)
}

async function newStore(options: DriveOptions): Promise<BlobStore> {
  const store =
    options.hierarchical === true ? new MemoryHierarchicalStore() : new MemoryBlobStore()
  await store.createContainer(container)
  for (const [name, sizeBytes] of Object.entries(options.blobs ?? {})) {
    await store.put({ container, name }, randomBytes(sizeBytes), {})
  }
  return store
}

class Drive {
  #options: DriveOptions
  #store: BlobStore
  #disk: DiskCache | undefined
  #vfs: Vfs | undefined
  #mount: Mount | undefined

  constructor(options: DriveOptions, store: BlobStore) {
    this.#options = options
    this.#store = store
  }

  async mount(): Promise<void> {
    const { mountpoint } = this.#options
    const store = this.#store
    const removing = new RemovingBlobStore(store)
    const namespace = new Namespace({
      store: removing,
      listingTtlMs: this.#options.listingTtlMs,
      ...(store instanceof MemoryHierarchicalStore && { hierarchyOf: async () => store.hierarchy }),
    })
    const root = { container, name: '' }
    const { cacheDirectory, readOnly, passthrough } = this.#options
    this.#disk =
      cacheDirectory === undefined ? undefined : new DiskCache({ directory: cacheDirectory })
    const chunkCache = new ChunkCache({ maxBytes: 2 ** 20, disk: this.#disk, reusesMemory: true })
    this.#vfs = new Vfs({ ...this.#options, namespace, removing, root, uid: 0, gid: 0, chunkCache })
    watchCalls(this.#vfs)
    const how = { mountpoint, source: 'abfs://box', allowOther: true, readOnly, passthrough }
    this.#mount = await mount(this.#vfs, how)
    say({ kind: 'mounted', detachedDead: false })
  }

  /** Mounts an empty account instead. */
  async anew(options: Partial<DriveOptions>): Promise<void> {
    await this.unmount()
    this.#options = { ...this.#options, ...options }
    this.#store = await newStore(this.#options)
    await this.mount()
  }

  async putElsewhere({ put, text, metadata }: BlobElsewhere): Promise<void> {
    await this.#store.put({ container, name: put }, Buffer.from(text), { metadata })
    say({ kind: 'stored', name: put })
  }

  /** Awaits that all which was read lies in the cache, and that what was opened was compared with its sums. */
  async settle(): Promise<void> {
    await this.#disk?.settled()
    await Promise.allSettled(comparing)
    comparing.clear()
    const { cacheDirectory } = this.#options
    const whyNoPassthrough =
      cacheDirectory === undefined
        ? this.#mount?.whyNoPassthrough()
        : await this.#mount?.tryPassthrough(cacheDirectory)
    say({ kind: 'settled', whyNoPassthrough })
  }

  async unmount(): Promise<void> {
    await this.#mount?.unmount()
    await this.#vfs?.close()
    await this.#disk?.close()
  }
}

/** What a bug in JavaScript does at its worst. */
function hangForEver(): void {
  say({ kind: 'blocked' })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

function hangUntil(fifo: string): void {
  say({ kind: 'blocked' })
  readFileSync(fifo)
}

interface BlobElsewhere {
  readonly put: string
  readonly text: string
  readonly metadata?: Readonly<Record<string, string>>
}

let forgotten = 0
let listed = 0

/** Contents of files that were opened, which are being compared with their sums. */
const comparing = new Set<Promise<unknown>>()

function watchCalls(vfs: Vfs): void {
  const open = vfs.open.bind(vfs)
  vfs.open = async (...call) => {
    const opened = await open(...call)
    if (opened.content instanceof Promise) comparing.add(opened.content)
    return opened
  }
  const readdir = vfs.readdir.bind(vfs)
  vfs.readdir = (...call) => {
    listed += 1
    return readdir(...call)
  }
  const forget = vfs.forget.bind(vfs)
  vfs.forget = (ino, lookupCount) => {
    forgotten += lookupCount
    forget(ino, lookupCount)
  }
}

type DriveMessage =
  | 'remount'
  | 'settle'
  | 'forgotten'
  | 'end'
  | 'block'
  | BlobElsewhere
  | { readonly anew: Partial<DriveOptions> }
  | { readonly hangUntil: string }

async function takeOrder(message: Extract<DriveMessage, object>): Promise<void> {
  if ('hangUntil' in message) return hangUntil(message.hangUntil)
  if ('anew' in message) return drive.anew(message.anew)
  return drive.putElsewhere(message)
}

const options: DriveOptions = JSON.parse(process.argv[2] ?? '{}')
faultChannel.subscribe((message) => {
  const { operation, path, error } = message as { operation: string; path: string; error: Error }
  say({ kind: 'fault', operation, message: `${path}: ${error.message}` })
})
const drive = new Drive(options, await newStore(options))
process.on('message', async (message: DriveMessage) => {
  if (typeof message === 'object') return takeOrder(message)
  if (message === 'settle') return drive.settle()
  if (message === 'forgotten') return say({ kind: 'forgotten', count: forgotten, listed })
  if (message === 'block') return hangForEver()
  await drive.unmount()
  if (message === 'remount') await drive.mount()
  else process.disconnect()
})
await drive.mount()
