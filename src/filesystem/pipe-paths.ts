import { runAll } from '../bulk.ts'
import { expectOptions } from '../expect-option.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { FileInfo } from './file-info.ts'
import type { FileData } from './given-bytes.ts'
import { locateFile, type PathInput } from './location.ts'
import { type PipeOptions, pipeFile } from './pipe.ts'
import type { Remote } from './remote.ts'

/** Makes each of `files` a file. All are tried; what failed is told as by a transfer. */
export async function pipePaths(
  remote: Remote,
  files: ReadonlyMap<PathInput, FileData> | Readonly<Record<string, FileData>>,
  options: PipeOptions = {},
): Promise<FileInfo[]> {
  expectOptions(files, 'a map or an object of paths and bytes', 'files')
  const given = files instanceof Map ? [...files] : Object.entries(files)
  const { account } = remote.store
  const work = given.map(([path, data], index) => ({
    path: locateFile(account, path, 'pipe'),
    data,
    index,
  }))
  const written: FileInfo[] = []
  const run = { signal: options.signal, concurrency: remote.concurrency, syscall: 'pipe' }
  const pathOf = ({ path }: { readonly path: BlobPath }) => formatPath(path)
  await runAll(work, { ...run, pathOf }, async ({ path, data, index }) => {
    written[index] = await pipeFile(remote, path, data, options)
  })
  return written
}
