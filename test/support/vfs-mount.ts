import { constants, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { RemovingBlobStore } from '../../src/blob/removing-store.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import type { FileSystemError } from '../../src/errors.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import type { NamespaceOptions } from '../../src/namespace/namespace-options.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import {
  type Attributes,
  type CallContext,
  type HandleId,
  type Ino,
  type InodeEntry,
  rootIno,
} from '../../src/vfs/operations.ts'
import { Vfs, type VfsOptions } from '../../src/vfs/vfs.ts'
import { CountingStore, type Request, type Verb } from './counting-store.ts'
import { FakeClock } from './fake-clock.ts'

/** What a test needs to be told of its end. */
export interface Teardown {
  teardown(work: () => void | Promise<void>): void
}

/** Who calls in these tests. */
export const caller: CallContext = {
  signal: new AbortController().signal,
  uid: 1000,
  gid: 1001,
  pid: 42,
}

/** How long listings are believed in these tests; milliseconds. */
export const listingTtlMs = 10_000

export type MountOptions = Partial<VfsOptions> & {
  /** As of `NamespaceOptions`. */
  readonly tagsOf?: NamespaceOptions['tagsOf']
  /** Another machine's account: the same blobs, caches of its own. */
  readonly account?: BlobStore
}

/** A Vfs over an account in memory, driven as the kernel drives it: paths in, system calls out. */
export class VfsMount {
  readonly clock: FakeClock = new FakeClock()
  readonly account: BlobStore
  readonly counting: CountingStore
  readonly namespace: Namespace
  readonly vfs: Vfs
  readonly chunkCache: ChunkCache

  private constructor(account: BlobStore, options: MountOptions, spoolDirectory: string) {
    this.account = account
    this.counting = new CountingStore(account)
    const removing = new RemovingBlobStore(this.counting)
    this.namespace = new Namespace({
      store: removing,
      ...(account instanceof MemoryHierarchicalStore && {
        hierarchyOf: async () => account.hierarchy,
      }),
      clock: this.clock,
      listingTtlMs,
      tagsOf: options.tagsOf,
    })
    this.chunkCache = options.chunkCache ?? new ChunkCache({ reusesMemory: true })
    this.vfs = new Vfs({
      namespace: this.namespace,
      root: { container: 'box', name: '' },
      uid: 500,
      gid: 501,
      spoolDirectory,
      journalDirectory: join(spoolDirectory, 'journal'),
      chunkCache: this.chunkCache,
      clock: this.clock,
      removing,
      ...options,
    })
  }

  static async make(t: Teardown, options: MountOptions = {}): Promise<VfsMount> {
    const spool = mkdtempSync(join(tmpdir(), 'abfs-vfs-'))
    t.teardown(() => rmSync(spool, { recursive: true, force: true }))
    const account = options.account ?? (await newAccount())
    return new VfsMount(account, options, spool)
  }

  /** The requests since the last call of this method. */
  requests(): string[] {
    return this.counting.take().map((line) => line.slice(0, line.indexOf(' ')))
  }

  /** Runs `act` before each request of one kind: what it throws fails the request. */
  before(verb: Verb, act: (request: Request) => void | Promise<void>): void {
    this.counting.before = (request) => (request.verb === verb ? act(request) : undefined)
  }

  async lookup(path: string): Promise<InodeEntry> {
    let at: InodeEntry | undefined
    for (const name of path.split('/').filter((part) => part !== '')) {
      const found = await this.vfs.lookup(at?.attributes.ino ?? rootIno, name, caller)
      if (found.kind === 'absent') throw Object.assign(new Error(path), { code: 'ENOENT' })
      at = found
    }
    if (at === undefined) throw new TypeError('path: expected at least one name')
    return at
  }

  /** The directory that holds `path`, and the name in it. */
  async split(path: string): Promise<[Ino, string]> {
    const slash = path.lastIndexOf('/')
    const name = path.slice(slash + 1)
    return slash < 0 ? [rootIno, name] : [await this.ino(path.slice(0, slash)), name]
  }

  async ino(path: string): Promise<Ino> {
    return path === '' ? rootIno : (await this.lookup(path)).attributes.ino
  }

  async stat(path: string): Promise<Attributes> {
    return lookingUpAgain(async () => this.vfs.getattr(await this.ino(path), undefined, caller))
  }

  async open(path: string, flags: number = constants.O_RDONLY): Promise<HandleId> {
    const opened = await lookingUpAgain(async () =>
      this.vfs.open(await this.ino(path), flags, caller),
    )
    return opened.handle
  }

  async create(path: string, flags: number = constants.O_RDWR): Promise<HandleId> {
    const [parent, name] = await this.split(path)
    const create = () => this.vfs.create(parent, name, { mode: 0o640, flags }, caller)
    const created = await lookingUpAgain(create)
    return created.file.handle
  }

  async write(handle: HandleId, offset: number, data: string | Uint8Array): Promise<number> {
    return this.vfs.write(handle, offset, Buffer.from(data), caller)
  }

  async read(handle: HandleId, start = 0, end: number = 2 ** 40): Promise<Buffer> {
    return Buffer.concat([...(await this.vfs.read(handle, { start, end }, caller))])
  }

  /** close(2) of the only descriptor. */
  async close(handle: HandleId): Promise<void> {
    try {
      await this.vfs.flush(handle, caller)
    } finally {
      await this.vfs.release(handle, caller)
    }
  }

  async save(path: string, data: string | Uint8Array): Promise<void> {
    const handle = await this.create(path, constants.O_WRONLY | constants.O_TRUNC)
    await this.write(handle, 0, data)
    await this.close(handle)
  }

  async load(path: string): Promise<string> {
    const handle = await this.open(path)
    try {
      return (await this.read(handle)).toString()
    } finally {
      await this.close(handle)
    }
  }

  async mkdir(path: string): Promise<InodeEntry> {
    const [parent, name] = await this.split(path)
    return this.vfs.mkdir(parent, name, 0o750, caller)
  }

  async unlink(path: string): Promise<void> {
    const [parent, name] = await this.split(path)
    await this.vfs.unlink(parent, name, caller)
  }

  async rename(from: string, to: string, noReplace = false): Promise<void> {
    const [parent, name] = await this.split(from)
    const [newParent, newName] = await this.split(to)
    const target = { parent: newParent, name: newName, noReplace, exchange: false }
    await this.vfs.rename(parent, name, target, caller)
  }

  async list(path: string): Promise<string[]> {
    const { handle } = await this.vfs.opendir(await this.ino(path), caller)
    const names = [...(await this.vfs.readdir(handle, 0, caller))].map((entry) => entry.name)
    await this.vfs.releasedir(handle, caller)
    return names.filter((name) => name !== '.' && name !== '..').sort()
  }

  /** What Azure has, past this mount; `undefined` when it has nothing. */
  async stored(name: string): Promise<string | undefined> {
    try {
      const content = await this.account.get({ container: 'box', name })
      return Buffer.from(content.data).toString()
    } catch (error) {
      if ((error as FileSystemError).code === 'ENOENT') return undefined
      throw error
    }
  }

  /** Somebody else writes a blob. */
  async storeElsewhere(name: string, data: string): Promise<void> {
    await this.account.put({ container: 'box', name }, Buffer.from(data))
  }
}

/** What the kernel does of a call by path whose inode is not what the name stands for any more. */
async function lookingUpAgain<Result>(call: () => Promise<Result>): Promise<Result> {
  return call().catch((error: FileSystemError) => {
    if (error.code !== 'ESTALE') throw error
    return call()
  })
}

/** From here on every new account is hierarchical. For files that run suites again. */
export function useHierarchicalAccounts(): void {
  hierarchical = true
}

/** Whether new accounts are hierarchical, where permissions are not in metadata. */
export function areAccountsHierarchical(): boolean {
  return hierarchical
}

let hierarchical = false

/** An account in memory with the container `box`. */
export async function newAccount(): Promise<BlobStore> {
  if (hierarchical) return newHierarchicalAccount()
  const account = new MemoryBlobStore()
  await account.createContainer('box')
  return account
}

/** A hierarchical account in memory with the container `box`. */
export async function newHierarchicalAccount(): Promise<MemoryHierarchicalStore> {
  const account = new MemoryHierarchicalStore()
  await account.createContainer('box')
  return account
}
