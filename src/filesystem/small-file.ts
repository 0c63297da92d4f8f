import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { KiB } from '../byte-range.ts'
import type { Entry } from '../namespace/entry.ts'
import { withPosixAttributes } from '../namespace/posix-metadata.ts'
import type { NearDisk } from '../transfer/near-disk.ts'
import { readAtOnce } from './download.ts'
import { runNear } from './local-error.ts'
import { type FilePair, type LocalFileOptions, partialName } from './local-file.ts'
import { tellListings } from './pipe.ts'
import { attributesOf } from './posix-preserve.ts'
import { changedSource } from './put-blocks.ts'
import type { Remote } from './remote.ts'

/** Files up to this size are moved in one request, and at once between memory and a near disk. */
export const smallBytes: number = 64 * KiB

/** Memory that files are read to, one after the other: fresh memory for each has to be found, cleared and collected. */
export class SmallBuffers {
  readonly #free: Buffer[] = []

  take(): Buffer {
    // More than a small file has: one that has not grown ends short of it.
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(smallBytes + 1)
  }

  /** Nothing reads it any more. */
  give(buffer: Buffer): void {
    this.#free.push(buffer)
  }
}

export interface SmallFileOptions extends LocalFileOptions {
  readonly disk: NearDisk
  /** What a listing said of the file's size. */
  readonly size: number
}

/**
 * Uploads a small file of a near disk, and tells what it is there; `undefined` when it is none, and nothing was done. `ESTALE`
 * as `putFile`.
 */
export async function putSmall(
  remote: Remote,
  pair: FilePair,
  options: SmallFileOptions & { readonly buffers: SmallBuffers },
): Promise<Entry | undefined> {
  const { disk, buffers, size, signal, preserve, onBytes } = options
  if (size > smallBytes || size > remote.blockBytes) return undefined
  if (!(await disk.isNear(dirname(pair.local)))) return undefined
  const send = async () => {
    const buffer = buffers.take()
    const read = runNear(disk, pair.local, () => readSmall(pair.local, buffer, preserve === true))
    if (read === undefined) return undefined
    const { data, stats } = read
    const metadata =
      stats === undefined ? undefined : withPosixAttributes({}, 'file', attributesOf(stats))
    const properties = await remote.store.put(pair.remote, data, { signal, metadata })
    // After a failure something may be sending it still.
    buffers.give(buffer)
    onBytes?.(data.byteLength)
    return tellListings(remote, pair.remote, { properties, metadata })
  }
  return remote.memory.run(smallBytes, () => remote.smallLimiter.run(send, signal), signal)
}

/** Downloads a small file to a near disk, as `getFile` does; false when it is none, and nothing was done. */
export async function getSmall(
  remote: Remote,
  pair: FilePair,
  { disk, size, signal, preserve, onBytes }: SmallFileOptions,
): Promise<boolean> {
  // Attributes are set by way of other threads anyhow.
  if (size > smallBytes || preserve === true) return false
  if (remote.chunkCache.disk !== undefined) return false
  if (!(await disk.isNear(dirname(pair.local)))) return false
  const there = runNear(disk, pair.local, () => statSync(pair.local, { throwIfNoEntry: false }))
  if (there !== undefined && !there.isFile()) return false
  const range = { start: 0, end: Math.min(smallBytes, remote.blockBytes) }
  const content = { range, signal, likelyEmpty: size === 0, limiter: remote.smallLimiter }
  const { data, properties } = await readAtOnce(remote, pair.remote, content)
  if (properties.sizeBytes > data.byteLength) return false
  runNear(disk, pair.local, () => writeSmall(pair.local, data))
  onBytes?.(data.byteLength)
  return true
}

interface SmallContent {
  readonly data: Uint8Array
  /** Where they are asked for: a time in nanoseconds takes as long as reading the file. */
  readonly stats: BigIntStats | undefined
}

/** `undefined` for what is no small regular file. */
function readSmall(path: string, room: Buffer, withStats: boolean): SmallContent | undefined {
  // Without waiting: by now it may be a pipe.
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const before = fstatSync(file)
    if (!before.isFile() || before.size > smallBytes) return undefined
    const { size } = before
    const wanted = size + 1
    let bytes = 0
    for (let count = -1; count !== 0 && bytes < size; bytes += count) {
      count = readSync(file, room, bytes, wanted - bytes, bytes)
    }
    const after = fstatSync(file)
    if (bytes !== size || after.size !== size || after.mtimeMs !== before.mtimeMs) {
      throw changedSource(path)
    }
    const stats = withStats ? fstatSync(file, { bigint: true }) : undefined
    return { data: room.subarray(0, size), stats }
  } finally {
    closeSync(file)
  }
}

/** The bytes go to a file beside the destination, which takes its name when all are there. */
function writeSmall(path: string, data: Uint8Array): void {
  const partial = partialName(path)
  try {
    const file = openSync(partial, 'wx')
    try {
      for (let at = 0; at < data.byteLength; ) at += writeSync(file, data, at)
    } finally {
      closeSync(file)
    }
    renameSync(partial, path)
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  }
}
