import type { CallOptions } from '../blob/store.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { type CatFileOptions, catFile } from './cat.ts'
import { demandWord } from './demand-word.ts'
import { type ExpandOptions, expandPath } from './expand-path.ts'
import { type FileInfo, pathOf, urlOf } from './file-info.ts'
import { hasMagic } from './pattern.ts'
import type { Remote } from './remote.ts'
import { byName } from './tree-view.ts'

export interface CatOptions extends ExpandOptions, Pick<CatFileOptions, 'consistency'> {
  /**
   * What a file that cannot be read, or a name or pattern that stands for nothing, does: `raise` rejects (the
   * default), `omit` leaves it out, `return` puts the error in the place of its bytes.
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
  const { signal, onError = 'raise' } = options
  demandWord('onError', onError, ['raise', 'omit', 'return'])
  const named = new Set(directlyNamed(names, options))
  const { entries, missing } = await expand(remote, names, options)
  const wanted = entries.filter(({ type, name }) => type !== 'directory' || named.has(name))
  const contents = await mapConcurrent(wanted, remote.concurrency, (entry) =>
    read(remote, entry, { ...options, signal }),
  )
  const found = new Map<string, Uint8Array | Error>(onError === 'return' ? missing : [])
  for (const [index, { name }] of wanted.entries()) {
    const content = contents[index]
    if (content !== undefined) found.set(name, content)
  }
  return found
}

/** What names stand for; unless told to reject, with the error of each that stands for nothing. */
async function expand(
  { view }: Remote,
  names: string | readonly string[],
  options: CatOptions,
): Promise<{ entries: readonly FileInfo[]; missing: readonly (readonly [string, Error])[] }> {
  const { onError = 'raise', signal } = options
  if (onError === 'raise') return { entries: await expandPath(view, names, options), missing: [] }
  const entries = new Map<string, FileInfo>()
  const missing: (readonly [string, Error])[] = []
  for (const name of typeof names === 'string' ? [names] : names) {
    try {
      for (const entry of await expandPath(view, name, options)) entries.set(entry.name, entry)
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof Error)) throw error
      missing.push([name, error])
    }
  }
  return { entries: [...entries.values()].sort(byName), missing }
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
  options: CallOptions & Pick<CatOptions, 'consistency' | 'onError'>,
): Promise<Uint8Array | Error | undefined> {
  const { onError = 'raise', signal, consistency } = options
  try {
    if (entry.type === 'directory') throw directory(entry.name)
    const likelyEmpty = entry.size === 0
    return await catFile(remote, pathOf(entry.name), { signal, consistency, likelyEmpty })
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
