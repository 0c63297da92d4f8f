import type { BlobPath } from '../path.ts'
import { BlobFileReader } from './blob-file-reader.ts'
import { BlobFileWriter } from './blob-file-writer.ts'
import { refuseDirectory, type WriteOptions } from './pipe.ts'
import type { Remote } from './remote.ts'

/**
 * Opens a file to be written on at its end, or anew where there is none. What it holds is read and
 * sent again, so that any file can be appended to, whoever wrote it in however many blocks; `close()`
 * rejects with `ESTALE` (`EEXIST` for a new file) when somebody else wrote it meanwhile. Metadata and
 * content type stay unless others are given.
 */
export async function appendFile(
  remote: Remote,
  path: BlobPath,
  options: WriteOptions = {},
): Promise<BlobFileWriter> {
  const { signal } = options
  // Asked past what listings remember: the condition is about the version that is there now.
  remote.namespace.invalidate(path)
  const existing = await refuseDirectory(remote, path, { signal })
  if (existing === undefined) {
    return BlobFileWriter.open(remote, path, { ...options, exclusive: true })
  }
  await using reader = await BlobFileReader.open(remote, path, { signal })
  const { etag, metadata, contentType } = reader.info
  const kept = {
    ...options,
    ifMatch: options.ifMatch ?? etag,
    metadata: options.metadata ?? metadata,
    contentType: options.contentType ?? contentType,
  }
  const writer = await BlobFileWriter.open(remote, path, { ...kept, exclusive: false })
  try {
    for await (const piece of reader) await writer.write(piece)
    return writer
  } catch (error) {
    await writer.abort()
    throw error
  }
}
