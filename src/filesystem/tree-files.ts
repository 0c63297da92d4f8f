import { Limiter } from '../concurrency.ts'
import { NearDisk } from '../transfer/near-disk.ts'
import {
  type FilePair,
  getFile,
  type LocalFileOptions,
  putFileUnchecked,
  type ResumableOptions,
} from './local-file.ts'
import type { Remote } from './remote.ts'
import { getSmall, putSmall, SmallBuffers } from './small-file.ts'

interface OneFile extends LocalFileOptions, ResumableOptions {
  /** What a listing said; bytes. */
  readonly size: number
}

/**
 * Moves the files of a tree. What a small one takes is the way there and back, so more of them are under way at once than of
 * those whose bytes take time and memory: small files take a lane each, the others wait for one of fewer places.
 */
export class TreeFiles {
  readonly disk: NearDisk
  /** Files to be given at once. */
  readonly lanes: number
  readonly #remote: Remote
  readonly #buffers = new SmallBuffers()
  readonly #others: Limiter

  /** `concurrency`: of files of any size; absent: the file system's. */
  constructor(remote: Remote, concurrency?: number) {
    this.#remote = remote
    this.disk = new NearDisk(remote.clock)
    this.lanes = concurrency ?? remote.smallConcurrency
    this.#others = new Limiter(concurrency ?? remote.concurrency)
  }

  /** Uploads a file whose name is no directory's, as `putFileUnchecked`; resolves to its ETag. */
  async put(pair: FilePair, options: OneFile): Promise<string | undefined> {
    const remote = this.#remote
    if (options.journal === undefined) {
      const small = { ...options, disk: this.disk, buffers: this.#buffers }
      const written = await putSmall(remote, pair, small)
      if (written !== undefined) return written.etag
    }
    const put = () => putFileUnchecked(remote, pair, options)
    return (await this.#others.run(put, options.signal)).etag
  }

  /** Downloads a file, as `getFile`. */
  async get(pair: FilePair, options: OneFile & Parameters<typeof getFile>[2]): Promise<void> {
    const remote = this.#remote
    if (options.journal === undefined) {
      if (await getSmall(remote, pair, { ...options, disk: this.disk })) return
    }
    await this.#others.run(() => getFile(remote, pair, options), options.signal)
  }
}
