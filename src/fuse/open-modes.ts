import { constants } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import type { ContentPiece, HandleId, Ino, LocalContent, OpenedFile } from '../vfs/operations.ts'
import type { ContentChannel } from './channel.ts'

/** How long an open waits for what could spare its reads the session: no longer than a request takes. */
const comparingMs = 25

/** Descriptors for files that are not whole: one each. */
const maxParts = 64

interface Watch {
  stop: () => void
  /** Descriptors that it took. */
  pieces: number
}

/** The open files of one inode that the kernel was told of. */
interface OpenInode {
  readonly handles: Set<HandleId>
  /** The file that the kernel reads them from by itself: all of them or none, or it refuses the open. */
  readonly backing: number | undefined
}

/** What is settled for a mount. */
export interface OpenModesOptions {
  /** The kernel has agreed to read backing files, and it is wanted. */
  readonly passthrough: boolean
}

/** How the kernel is to read a file that was opened. */
export type OpenMode =
  /** By asking; some of its reads may be answered without the session. */
  | { readonly kind: 'asking' }
  /** From a file of its own, by number. */
  | { readonly kind: 'passthrough'; readonly backing: number }

/**
 * Decides how each open file is read. The kernel wants one way for all open files of an inode: the
 * first decides, and the last that closes ends it.
 */
export class OpenModes {
  readonly #channel: ContentChannel
  readonly #inodes = new Map<Ino, OpenInode>()
  readonly #inoOf = new Map<HandleId, Ino>()
  /** Handles whose content must not be attached any more. */
  readonly #changed = new Set<HandleId>()
  /** What ends it that a handle is told what becomes readable. */
  readonly #watches = new Map<HandleId, Watch>()
  #parts = 0
  #passthrough: boolean
  #refusal: string | undefined

  constructor(channel: ContentChannel, { passthrough }: OpenModesOptions) {
    this.#channel = channel
    if (!passthrough) this.#refusal = 'the kernel does not offer it: Linux 6.9 or later does'
    this.#passthrough = passthrough
  }

  /** Why the kernel reads no file by itself; `undefined` while it may. */
  get refusal(): string | undefined {
    return this.#refusal
  }

  /** Whether the kernel would take `descriptor` as what it reads by itself; else `refusal` tells why. */
  tryBacking(descriptor: number): void {
    const backing = this.#openBacking(descriptor)
    if (backing !== undefined) this.#channel.closeBacking(backing)
  }

  /**
   * Waits a moment for content that is being compared with its sums: the first open of an inode alone
   * can have the kernel read it.
   */
  async settle(ino: Ino, opened: OpenedFile): Promise<OpenedFile> {
    const { content } = opened
    if (!(content instanceof Promise) || !this.#passthrough || this.#inodes.has(ino)) return opened
    const asked = new AbortController()
    const late = setTimeout(comparingMs, 'late' as const, { signal: asked.signal })
    try {
      const found = await Promise.race([content, late])
      return found === 'late' ? opened : { ...opened, content: found }
    } catch {
      return { ...opened, content: undefined }
    } finally {
      late.catch(() => {})
      asked.abort()
    }
  }

  /** A file was opened; to be called before the kernel hears of it. */
  opened(ino: Ino, opened: OpenedFile): OpenMode {
    const { content } = opened
    const present = this.#inodes.get(ino)
    const backing = present === undefined ? this.#open(content) : present.backing
    this.#note(ino, opened.handle, backing)
    if (backing !== undefined) return { kind: 'passthrough', backing }
    this.#attach(opened)
    return { kind: 'asking' }
  }

  /** A file was closed, or its open reached nobody. */
  released(handle: HandleId): void {
    const ino = this.#inoOf.get(handle)
    if (ino === undefined) return
    this.#inoOf.delete(handle)
    this.#changed.delete(handle)
    this.#detach(handle)
    const present = this.#inodes.get(ino)
    present?.handles.delete(handle)
    if (present === undefined || present.handles.size > 0) return
    this.#inodes.delete(ino)
    if (present.backing !== undefined) this.#channel.closeBacking(present.backing)
  }

  /** Content of `ino` is about to change: from here on readers have to ask. */
  changes(ino: Ino): void {
    for (const handle of this.#inodes.get(ino)?.handles ?? []) {
      this.#detach(handle)
      this.#changed.add(handle)
    }
  }

  /** One file holds it all, and the kernel takes it: the number of that. */
  #open(content: OpenedFile['content']): number | undefined {
    if (!this.#passthrough || content === undefined || content instanceof Promise) return undefined
    const [piece] = content.pieces
    if (content.pieces.length !== 1 || piece === undefined) return undefined
    return this.#openBacking(piece.descriptor)
  }

  #openBacking(descriptor: number): number | undefined {
    if (!this.#passthrough) return undefined
    const backing = this.#channel.openBacking(descriptor)
    if (backing > 0) return backing
    // Most often EPERM: it takes CAP_SYS_ADMIN. It will not be otherwise for the next file.
    this.#passthrough = false
    this.#refusal = whyRefused(-backing)
    return undefined
  }

  #note(ino: Ino, handle: HandleId, backing: number | undefined): void {
    const present = this.#inodes.get(ino) ?? { handles: new Set(), backing }
    present.handles.add(handle)
    this.#inodes.set(ino, present)
    this.#inoOf.set(handle, ino)
  }

  #attach(opened: OpenedFile): void {
    const { content } = opened
    const attach = (found: LocalContent | undefined) => {
      if (found === undefined) this.#watch(opened)
      else this.#attachNow(opened.handle, found)
    }
    // What cannot be attached is asked for, as ever.
    if (content instanceof Promise) void content.then(attach).catch(() => {})
    else attach(content)
  }

  /** Reads are answered by the channel where pieces become readable while the file is open. */
  #watch({ handle, partial }: OpenedFile): void {
    if (partial === undefined || !this.#mayAttach(handle)) return
    this.#channel.attach(handle, partial.sizeBytes)
    const watch: Watch = { stop: () => {}, pieces: 0 }
    this.#watches.set(handle, watch)
    watch.stop = partial.watch((ranges, piece, isNew) => {
      if (isNew) this.#addPart(handle, piece, watch)
      for (const range of ranges) this.#channel.markPresent(handle, range)
    })
  }

  #addPart(handle: HandleId, piece: ContentPiece, watch: Watch): void {
    if (this.#parts >= maxParts) return
    this.#parts += 1
    watch.pieces += 1
    this.#channel.addPiece(handle, piece, false)
  }

  #detach(handle: HandleId): void {
    this.#channel.detach(handle)
    const watch = this.#watches.get(handle)
    this.#watches.delete(handle)
    watch?.stop()
    this.#parts -= watch?.pieces ?? 0
  }

  #mayAttach(handle: HandleId): boolean {
    return this.#inoOf.has(handle) && !this.#changed.has(handle)
  }

  #attachNow(handle: HandleId, content: LocalContent | undefined): void {
    if (content === undefined || !this.#mayAttach(handle)) return
    this.#channel.attach(handle, content.sizeBytes)
    for (const piece of content.pieces) this.#channel.addPiece(handle, piece, true)
  }
}

function whyRefused(errno: number): string {
  if (errno === constants.errno.EPERM) return 'this process lacks CAP_SYS_ADMIN'
  if (errno === constants.errno.ELOOP) return 'the cache directory lies on a stacked file system'
  return `the kernel refuses backing files: errno ${errno}`
}
