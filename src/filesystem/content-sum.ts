import { createReadStream } from 'node:fs'
import type { CallOptions } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import { type Crc64, crc64, formatCrc64 } from '../crc64.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { notedSum, PieceSums } from '../transfer/content-check.ts'
import { download, headFile } from './download.ts'
import { onLocalDisk } from './local-error.ts'
import type { Remote } from './remote.ts'

/**
 * The CRC-64 of a file's bytes, in base64 as the service writes it: what abfs noted when it wrote the file, else
 * of the bytes, all of which are read. `ESTALE` when the file is replaced meanwhile, `EISDIR` for directories.
 */
export async function remoteSum(
  remote: Remote,
  path: BlobPath,
  { signal }: CallOptions = {},
): Promise<string> {
  const properties = await headFile(remote, path, signal)
  const noted = notedSum(properties)
  if (noted !== undefined) return formatCrc64(noted)
  const sums = new PieceSums()
  const { etag: ifMatch, sizeBytes } = properties
  const sink = { accept: (data: Uint8Array, offset: number) => sums.add(data, offset) }
  if (sizeBytes > 0) await download(remote, path, { sink, signal, ifMatch })
  const sum = sums.of(sizeBytes)
  if (sum !== undefined) return formatCrc64(sum)
  const detail = 'not all bytes arrived: try again'
  throw new FileSystemError('EIO', 'crc64', { path: formatPath(path), detail, retryable: true })
}

/** The same of a local file, whose bytes are read. */
export async function localSum(path: string, { signal }: CallOptions = {}): Promise<string> {
  let sum: Crc64 = 0n
  await onLocalDisk(path, async () => {
    const pieces: AsyncIterable<Buffer> = createReadStream(path, { highWaterMark: MiB, signal })
    for await (const piece of pieces) sum = crc64(piece, sum)
  })
  return formatCrc64(sum)
}
