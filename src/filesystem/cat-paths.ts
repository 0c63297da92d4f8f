import type { CallOptions } from '../blob/store.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { catFile } from './cat.ts'
import { type ExpandOptions, expandPath } from './expand-path.ts'
import { type FileInfo, pathOf, urlOf } from './file-info.ts'
import { hasMagic } from './pattern.ts'
import type { Remote } from './remote.ts'

export interface CatOptions extends ExpandOptions {
  /**
   * What a file that cannot be read does: `raise` rejects (the default), `omit` leaves it out,
   * `return` puts the error in the place of its bytes.
   */
  readonly onError?: 'raise' | 'omit' | 'return' | undefined
}

/**
 * The contents of all files that names, patterns and (`recursive`) directories stand for, by name.
 * A directory that a pattern matches is left out; one that is named is `EISDIR` without `recursive`.
 */
export async function catPaths(
  remote: Remote,
  names: string | readonly string[],
  options: CatOptions = {},
): Promise<Map<string, Uint8Array | Error>> {
  const { signal } = options
  const named = new Set(directlyNamed(names, options))
  const entries = await expandPath(remote.view, names, options)
  const wanted = entries.filter(({ type, name }) => type !== 'directory' || named.has(name))
  const contents = await mapConcurrent(wanted, remote.concurrency, (entry) =>
    read(remote, entry, { ...options, signal }),
  )
  const found = new Map<string, Uint8Array | Error>()
  for (const [index, { name }] of wanted.entries()) {
    const content = contents[index]
    if (content !== undefined) found.set(name, content)
  }
  return found
}

/** Names that stand for themselves alone. */
function directlyNamed(names: string | readonly string[], options: CatOptions): readonly string[] {
  if (options.recursive === true) return []
  const list = typeof names === 'string' ? [names] : names
  const literal = options.literal === true
  return list.filter((name) => literal || !hasMagic(name)).map((name) => name.replace(/\/+$/, ''))
}

async function read(
  remote: Remote,
  entry: FileInfo,
  options: CallOptions & Pick<CatOptions, 'onError'>,
): Promise<Uint8Array | Error | undefined> {
  const { onError = 'raise', signal } = options
  try {
    if (entry.type === 'directory') throw directory(entry.name)
    return await catFile(remote, pathOf(entry.name), { signal })
  } catch (error) {
    signal?.throwIfAborted()
    if (onError === 'raise' || !(error instanceof Error)) throw error
    return onError === 'return' ? error : undefined
  }
}

function directory(name: string): FileSystemError {
  const detail = 'is a directory; pass recursive: true to read all files below it'
  return new FileSystemError('EISDIR', 'cat', { path: urlOf(name), detail })
}
