/**
 * Run as a process of its own: mounts the drive over an account in memory, says so, and serves until
 * the mount is gone. Takes {@link DriveOptions} as JSON in the first argument. The message
 * `remount` mounts the same account again, with nothing left of what the first drive knew; `block`
 * lets JavaScript hang for ever, `busy` for half of each second; `{"put": name, "text": text}` stores a
 * blob as another client would.
 */
import { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { type Mount, mount } from '../../src/fuse/mount.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import { faultChannel } from '../../src/telemetry.ts'
import { Vfs } from '../../src/vfs/vfs.ts'

/** What the server is told. */
export interface DriveOptions {
  readonly mountpoint: string
  readonly spoolDirectory: string
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
}

const container = 'box'

function say(message: object): void {
  process.send?.(message)
}

async function newStore(options: DriveOptions): Promise<BlobStore> {
  const store =
    options.hierarchical === true ? new MemoryHierarchicalStore() : new MemoryBlobStore()
  await store.createContainer(container)
  return store
}

class Drive {
  readonly #options: DriveOptions
  readonly #store: BlobStore
  #vfs: Vfs | undefined
  #mount: Mount | undefined

  constructor(options: DriveOptions, store: BlobStore) {
    this.#options = options
    this.#store = store
  }

  async mount(): Promise<void> {
    const { mountpoint } = this.#options
    const store = this.#store
    const namespace = new Namespace({
      store,
      listingTtlMs: this.#options.listingTtlMs,
      ...(store instanceof MemoryHierarchicalStore && { hierarchyOf: async () => store.hierarchy }),
    })
    const root = { container, name: '' }
    this.#vfs = new Vfs({ ...this.#options, namespace, root, uid: 0, gid: 0 })
    this.#mount = await mount(this.#vfs, { mountpoint, source: 'abfs://box', allowOther: true })
    say({ kind: 'mounted', detachedDead: false })
  }

  async putElsewhere({ put, text }: { put: string; text: string }): Promise<void> {
    await this.#store.put({ container, name: put }, Buffer.from(text), {})
    say({ kind: 'stored', name: put })
  }

  async unmount(): Promise<void> {
    await this.#mount?.unmount()
    await this.#vfs?.close()
  }
}

/** What a bug in JavaScript does at its worst. */
function hang(ms: number): void {
  if (ms === Number.POSITIVE_INFINITY) say({ kind: 'blocked' })
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

type DriveMessage = 'remount' | 'end' | 'busy' | 'block' | { put: string; text: string }

const options: DriveOptions = JSON.parse(process.argv[2] ?? '{}')
faultChannel.subscribe((message) => {
  const { operation, path, error } = message as { operation: string; path: string; error: Error }
  say({ kind: 'fault', operation, message: `${path}: ${error.message}` })
})
const drive = new Drive(options, await newStore(options))
process.on('message', async (message: DriveMessage) => {
  if (typeof message === 'object') return drive.putElsewhere(message)
  if (message === 'busy') return void setInterval(() => hang(500), 1000)
  if (message === 'block') return hang(Number.POSITIVE_INFINITY)
  await drive.unmount()
  if (message === 'remount') await drive.mount()
  else process.disconnect()
})
await drive.mount()
