import type { ListEntry, StateListOptions, StateMark } from '../blob/store.ts'
import { listAll } from '../blob/store.ts'
import { entryFromBlob } from '../namespace/blob-entry.ts'
import { childPrefix, isPathName, isReserved } from '../namespace/blob-name.ts'
import type { BlobPath } from '../path.ts'
import { sortedByName } from './by-name.ts'
import {
  bareDirectory,
  type FileInfo,
  fullName,
  pathOf,
  statedInfo,
  toFileInfo,
} from './file-info.ts'
import type { Remote } from './remote.ts'
import { joinName, prefixInside, relativeName } from './tree-view.ts'
import { checkPrefix, type FindOptions, find } from './walk.ts'

/** What a listing shows of each name beside the file that is there. */
export type StateChoice = Pick<StateListOptions, 'versions' | 'snapshots' | 'deleted' | 'tags'>

/** Whether a listing is asked for more than the files that are there. */
export function asksForStates({ versions, snapshots, deleted, tags }: StateChoice): boolean {
  return [versions, snapshots, deleted, tags].includes(true)
}

/** The blob of a row as a file, and in which state it shows it; `undefined` for what is no file. */
export function fileOfRow(container: string, row: ListEntry): FileInfo | undefined {
  if (row.kind !== 'blob' || !isPathName(row.name) || isReserved(row.name)) return undefined
  const entry = entryFromBlob(row.name, row.properties)
  if (entry.type === 'directory') return undefined
  const info = toFileInfo(container, entry)
  const { state, tags } = row
  return state === undefined && tags === undefined ? info : statedInfo(info, { ...state, tags })
}

/**
 * The directories in a directory, and the files with the states that are asked for: by name, the states of
 * one name as the service tells them. A directory in which nothing is left but former states is one. Of
 * a file: its own states. `ENOENT` when nothing has that name and nothing had it.
 */
export async function listStates(
  remote: Remote,
  name: string,
  options: StateListOptions & { readonly fresh?: boolean | undefined },
): Promise<FileInfo[]> {
  if (name === '') return remote.view.listOrSelf(name, options)
  const path = pathOf(name)
  const found = new Map<string, FileInfo>()
  for (const entry of await remote.view.list(name, options)) {
    if (entry.type === 'directory') found.set(entry.name, entry)
  }
  const files: FileInfo[] = []
  // The service lists snapshots without a delimiter only.
  const delimiter = options.snapshots === true ? undefined : '/'
  for await (const row of statesBelow(remote, path, { ...options, delimiter })) {
    const child = childOf(name, fullName({ ...path, name: row.name }))
    const file = fileOfRow(path.container, row)
    if (child.isDirect) files.push(...(file === undefined ? [] : [file]))
    else if (!found.has(child.name) && isPathName(pathOf(child.name).name)) {
      if (!isReserved(pathOf(child.name).name)) found.set(child.name, bareDirectory(child.name))
    }
  }
  if (files.length === 0 && found.size === 0) return statesOf(remote, path, options)
  return sortedByName([...found.values(), ...files])
}

/** Files below a directory, to a depth, with the states that are asked for; the states of a file. */
export async function findStates(
  remote: Remote,
  name: string,
  options: FindOptions & StateChoice,
): Promise<FileInfo[]> {
  const { maxDepth, withDirs, signal, prefix } = options
  checkPrefix(prefix)
  const plain = { maxDepth, withDirs, signal, prefix }
  const others = withDirs === true ? (await find(remote.view, name, plain)).filter(isDirectory) : []
  const files =
    name === '' ? await inContainers(remote, options) : await below(remote, name, options)
  return sortedByName([...others, ...files])
}

async function inContainers(remote: Remote, options: FindOptions & StateChoice) {
  const { maxDepth, signal } = options
  if (maxDepth === 1) return []
  const deeper = maxDepth === undefined ? undefined : maxDepth - 1
  const found: FileInfo[] = []
  for (const { name } of await remote.view.list('', { signal })) {
    const prefix = prefixInside(name, options.prefix ?? '')
    if (prefix === undefined) continue
    const inside = { ...options, maxDepth: deeper, prefix }
    for (const file of await below(remote, name, inside)) found.push(file)
  }
  return found
}

async function below(remote: Remote, name: string, options: FindOptions & StateChoice) {
  const path = pathOf(name)
  const found: FileInfo[] = []
  for await (const row of statesBelow(remote, path, options)) {
    const file = fileOfRow(path.container, row)
    if (file === undefined) continue
    const depth = relativeName(name, file.name).split('/').length
    if (depth <= (options.maxDepth ?? Number.POSITIVE_INFINITY)) found.push(file)
  }
  const isPart = options.prefix !== undefined && options.prefix !== ''
  if (found.length > 0 || isPart || path.name === '') return found
  return statesIfAny(remote, path, options)
}

/** The states of one name. */
export async function* statesAt(
  remote: Pick<Remote, 'store'>,
  path: BlobPath,
  options: StateListOptions,
): AsyncGenerator<Extract<ListEntry, { kind: 'blob' }> & { readonly state: StateMark }, void> {
  for await (const row of listAll(remote.store, path, options)) {
    // Of the names that begin so the name itself is the first.
    if (row.name !== path.name) return
    if (row.kind === 'blob' && row.state !== undefined) yield { ...row, state: row.state }
  }
}

/** `ENOENT` when there never was such a file. */
async function statesOf(remote: Remote, path: BlobPath, options: StateListOptions) {
  const states = path.name === '' ? [] : await statesIfAny(remote, path, options)
  return states.length > 0 ? states : remote.view.listOrSelf(fullName(path), { ...options })
}

async function statesIfAny(remote: Remote, path: BlobPath, options: StateListOptions) {
  const found: FileInfo[] = []
  for await (const row of listAll(remote.store, path, choiceOf(options))) {
    if (row.name !== path.name) break
    const file = fileOfRow(path.container, row)
    if (file !== undefined) found.push(file)
  }
  return found
}

function statesBelow(
  { store }: Remote,
  path: BlobPath,
  options: StateListOptions & {
    readonly delimiter?: '/' | undefined
    readonly prefix?: string | undefined
  },
): AsyncGenerator<ListEntry, void> {
  const start = { ...path, name: `${childPrefix(path.name)}${options.prefix ?? ''}` }
  return listAll(store, start, { ...choiceOf(options), delimiter: options.delimiter })
}

function choiceOf({ signal, versions, snapshots, deleted, tags }: StateListOptions) {
  return { signal, versions, snapshots, deleted, tags }
}

/** The child of a directory that a name below it is, or lies in. */
function childOf(directory: string, name: string): { name: string; isDirect: boolean } {
  const [first = '', ...rest] = relativeName(directory, name).split('/')
  return { name: joinName(directory, first), isDirect: rest.length === 0 }
}

function isDirectory({ type }: FileInfo): boolean {
  return type === 'directory'
}
