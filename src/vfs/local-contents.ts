import { LRUCache } from 'lru-cache'
import { Limiter } from '../concurrency.ts'
import type { BlobPath } from '../path.ts'
import type { DiskCache } from '../transfer/disk-cache.ts'
import { maxSmallBytes } from '../transfer/disk-small.ts'
import { closePieces, type WholePiece } from '../transfer/disk-version.ts'
import type { LocalContent, OpenedFile, PartialContent } from './operations.ts'

/** Descriptors that may be held for contents: one each, more for those in segments. */
const maxOpenPieces = 64

/** Which version of which blob. */
export interface ContentKey {
  readonly path: BlobPath
  readonly etag: string
  readonly sizeBytes: number
}

/**
 * Versions that lie whole on the local disk, open and compared with their sums once: the kernel, or
 * the threads that serve it, may read them without asking.
 */
export class LocalContents {
  readonly #disk: DiskCache
  readonly #endpoint: string
  readonly #known: LRUCache<string, Known>
  readonly #looking = new Map<string, Promise<LocalContent | undefined>>()
  /** Comparing takes the disk and the event loop from those who wait for bytes. */
  readonly #lookers = new Limiter(1)

  constructor(disk: DiskCache, endpoint: string) {
    this.#disk = disk
    this.#endpoint = endpoint
    this.#known = new LRUCache<string, Known>({
      maxSize: maxOpenPieces,
      sizeCalculation: ({ pieces }) => pieces.length,
      dispose: ({ pieces }) => void closePieces(pieces),
    })
  }

  /** The content at once when it is known, else when it was found and compared; `undefined` when it is not whole. */
  of(key: ContentKey): LocalContent | Promise<LocalContent | undefined> | undefined {
    if (key.sizeBytes === 0) return undefined
    const name = `${key.path.container}/${key.path.name}\0${key.etag}`
    const known = this.#known.get(name)
    if (known !== undefined) return known.content
    const looking = this.#looking.get(name) ?? this.#look(name, key)
    this.#looking.set(name, looking)
    return looking
  }

  /** What becomes readable of it, granule by granule, as long as `keeps` says that it is still the one. */
  partOf(key: ContentKey, keeps: (version: string) => boolean): PartialContent {
    const { etag: version, sizeBytes } = key
    const disk = this.#disk.open({ ...key, endpoint: this.#endpoint })
    const watch: PartialContent['watch'] = (add) => {
      const files = new Map<number, string>()
      return disk.watch((compared) => {
        if (!keeps(version)) return
        const isNew = files.get(compared.start) !== compared.file
        files.set(compared.start, compared.file)
        // Who is told of a file for the first time has heard of nothing in it.
        add(isNew ? compared.all() : compared.added, compared, isNew)
      })
    }
    return { version, sizeBytes, watch }
  }

  /** Both, as long as `keeps` says so. */
  whileKept(
    key: ContentKey,
    keeps: (version: string) => boolean,
  ): Pick<OpenedFile, 'content' | 'partial'> {
    if (key.sizeBytes <= maxSmallBytes) return {}
    const content = this.of(key)
    const check = (found: LocalContent | undefined): LocalContent | undefined =>
      found !== undefined && keeps(found.version) ? found : undefined
    const checked = content instanceof Promise ? content.then(check) : check(content)
    return { content: checked, partial: this.partOf(key, keeps) }
  }

  /** Closes all files. */
  close(): void {
    this.#known.clear()
  }

  async #look(name: string, key: ContentKey): Promise<LocalContent | undefined> {
    const version = this.#disk.open({ ...key, endpoint: this.#endpoint })
    try {
      const pieces = await this.#lookers.run(() => version.openWhole())
      return pieces === undefined ? undefined : this.#keep(name, key, pieces)
    } finally {
      this.#looking.delete(name)
    }
  }

  #keep(name: string, key: ContentKey, pieces: readonly WholePiece[]): LocalContent | undefined {
    if (pieces.length > maxOpenPieces) {
      void closePieces(pieces)
      return undefined
    }
    const content: LocalContent = {
      version: key.etag,
      sizeBytes: key.sizeBytes,
      pieces: pieces.map(({ start, sizeBytes, file }) => ({
        start,
        sizeBytes,
        descriptor: file.fd,
      })),
    }
    this.#known.set(name, { content, pieces })
    return content
  }
}

interface Known {
  readonly content: LocalContent
  readonly pieces: readonly WholePiece[]
}
