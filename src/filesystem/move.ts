import type { CallOptions } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import { formatPath } from '../path.ts'
import { demandContainerConsent } from './directories.ts'
import { expandPath } from './expand-path.ts'
import { pathOf, urlOf } from './file-info.ts'
import { hasMagic } from './pattern.ts'
import type { Remote } from './remote.ts'
import { remove } from './remove.ts'
import { copyTree } from './transfer-tree.ts'
import { baseName, joinName } from './tree-view.ts'

export interface MoveOptions extends CallOptions {
  /** Fails with `EEXIST` when the destination exists. */
  readonly noReplace?: boolean | undefined
  /** Takes `*`, `?` and `[` as characters of names. */
  readonly literal?: boolean | undefined
}

/**
 * Renames files and directories. A target that ends in `/` or is a directory takes the source
 * inside; what a pattern matches always goes inside. The same name twice is no change; a directory
 * into itself is `EINVAL`. To another container: a copy, deleted here once it is complete.
 */
export async function move(
  remote: Remote,
  names: { readonly source: string; readonly target: string },
  options: MoveOptions = {},
): Promise<void> {
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
  const { signal, noReplace = false } = options
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
  if (source.container === target.container) {
    return remote.namespace.rename(source, target, { signal, noReplace })
  }
  await moveAcross(remote, names, options)
}

async function moveAcross(
  remote: Remote,
  names: { readonly from: string; readonly to: string },
  options: MoveOptions,
): Promise<void> {
  const { signal, noReplace } = options
  if (noReplace && (await remote.view.stat(names.to, { signal, fresh: true })) !== undefined) {
    throw new FileSystemError('EEXIST', 'rename', {
      path: urlOf(names.from),
      dest: urlOf(names.to),
    })
  }
  await copyAcross(remote, names, signal)
  await remove(remote, names.from, { signal, recursive: true, literal: true })
}

async function copyAcross(
  remote: Remote,
  { from, to }: { readonly from: string; readonly to: string },
  signal: AbortSignal | undefined,
): Promise<void> {
  if (!(await isDirectory(remote, from, signal))) {
    await remote.namespace.copyFile(pathOf(from), pathOf(to), { signal })
    return
  }
  const contents = { source: `${from}/`, target: to }
  await copyTree(remote, contents, { signal, recursive: true, literal: true })
}

async function isDirectory(
  remote: Remote,
  name: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return (await remote.view.stat(name, { signal }))?.type === 'directory'
}
