import type { CallOptions } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import type { RenameProgress } from '../namespace/namespace.ts'
import { formatPath } from '../path.ts'
import { demandContainerConsent } from './directories.ts'
import { expandPath } from './expand-path.ts'
import { fullName, pathOf, urlOf } from './file-info.ts'
import { hasMagic } from './pattern.ts'
import { checkProgress, type Progress } from './progress.ts'
import type { Remote } from './remote.ts'
import { baseName, joinName } from './tree-view.ts'

export interface MoveOptions extends CallOptions {
  /** Fails with `EEXIST` when the destination exists. */
  readonly noReplace?: boolean | undefined
  /** Takes `*`, `?` and `[` as characters of names. */
  readonly literal?: boolean | undefined
  /**
   * How far the rename of a directory is: first all its files are copied (`transferring`), then their sources go (`deleting`).
   * One step of a hierarchical account is told as one file.
   */
  readonly onProgress?: ((progress: Progress) => void) | undefined
}

/**
 * Renames files and directories. A target that ends in `/` or is a directory takes the source
 * inside; what a pattern matches always goes inside. The same name twice is no change; a directory
 * into itself is `EINVAL`. To another container it is the same: copied, compared, and only what was
 * copied deleted. See `Namespace.rename` for what an interrupted one leaves.
 */
export async function move(
  remote: Remote,
  names: { readonly source: string; readonly target: string },
  options: MoveOptions = {},
): Promise<void> {
  checkProgress(options)
  const { signal, literal } = options
  const { source, target } = names
  const pattern = literal !== true && hasMagic(source)
  const inside = pattern || target.endsWith('/') || (await isDirectory(remote, target, signal))
  const base = target.replace(/\/+$/, '')
  for (const { name } of await expandPath(remote.view, source, { signal, literal })) {
    await moveOne(
      remote,
      { from: name, to: inside ? joinName(base, baseName(name)) : base },
      options,
    )
  }
}

async function moveOne(
  remote: Remote,
  names: { readonly from: string; readonly to: string },
  options: MoveOptions,
): Promise<void> {
  const { from, to } = names
  const { signal, noReplace = false, onProgress } = options
  if (from === to) return
  const [source, target] = [pathOf(from), pathOf(to)]
  if (source.name === '') demandContainerConsent(source, 'rename', false)
  if (to.startsWith(`${from}/`)) {
    throw new FileSystemError('EINVAL', 'rename', {
      path: urlOf(from),
      dest: formatPath(target),
      detail: 'a directory cannot be moved into itself',
    })
  }
  const { concurrency } = remote
  const report = onProgress && ((progress: RenameProgress) => onProgress(toProgress(progress)))
  const how = { signal, noReplace, concurrency, onProgress: report }
  await remote.namespace.rename(source, target, how)
}

function toProgress({
  phase,
  path,
  bytes,
  totalBytes,
  files,
  totalFiles,
}: RenameProgress): Progress {
  const done = { bytes, totalBytes, files, totalFiles }
  return { phase: phase === 'copied' ? 'transferring' : 'deleting', path: fullName(path), ...done }
}

async function isDirectory(
  remote: Remote,
  name: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return (await remote.view.stat(name, { signal }))?.type === 'directory'
}
