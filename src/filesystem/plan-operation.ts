import { planTransfers, type TransferRequest } from './destination.ts'
import { type ExpandOptions, expandPath } from './expand-path.ts'
import type { FileInfo } from './file-info.ts'
import { LocalView } from './local-view.ts'
import type { Remote } from './remote.ts'
import { parentName, type TreeEntry } from './tree-view.ts'

/** What an operation would do. */
export interface OperationPlan {
  /** Files that would be read, written or deleted, by name; for a transfer their destinations. */
  readonly paths: readonly string[]
  readonly directories: number
  readonly bytes: number
  /** Requests by what Azure bills them as, without those that are repeated; what finding out cost is not in it. */
  readonly requests: {
    readonly write: number
    readonly list: number
    readonly read: number
    readonly delete: number
  }
}

/** What can be planned, with its arguments as the method of that name takes them. */
export type PlannedOperation = 'put' | 'get' | 'copy' | 'rm'

/** Finds out what a transfer would do, and does nothing. */
export async function planTransfer(
  remote: Remote,
  operation: 'put' | 'get' | 'copy',
  request: TransferRequest,
  options: ExpandOptions,
): Promise<OperationPlan> {
  const local = new LocalView({ followLinks: true })
  const source = operation === 'put' ? local : remote.wholeView
  const target = operation === 'get' ? local : remote.view
  const plan = await planTransfers<TreeEntry>({ source, target }, request, options)
  const files = plan.filter(({ from }) => from.type === 'file')
  const sizes = files.map(({ from }) => from.size)
  const parents = new Set(files.map(({ to }) => parentName(to)))
  return {
    paths: files.map(({ to }) => to),
    directories: plan.length - files.length,
    bytes: sum(sizes),
    requests: requestsOf(operation, sizes, { parents: parents.size, ...remote }),
  }
}

/** Finds out what a removal would delete, and deletes nothing. */
export async function planRemoval(
  remote: Remote,
  names: string | readonly string[],
  options: ExpandOptions,
): Promise<OperationPlan> {
  const found = await expandPath<FileInfo>(remote.view, names, options)
  const files = found.filter(({ type }) => type !== 'directory')
  const marked = found.filter(({ type, etag }) => type === 'directory' && etag !== undefined)
  return {
    paths: files.map(({ name }) => name),
    directories: found.length - files.length,
    bytes: sum(files.map(({ size }) => size)),
    requests: { write: 0, list: 0, read: 0, delete: files.length + marked.length },
  }
}

function requestsOf(
  operation: 'put' | 'get' | 'copy',
  sizes: readonly number[],
  { parents, blockBytes }: { readonly parents: number; readonly blockBytes: number },
): OperationPlan['requests'] {
  const none = { write: 0, list: 0, read: 0, delete: 0 }
  const pieces = sizes.map((size) => Math.max(Math.ceil(size / blockBytes), 1))
  if (operation === 'get') return { ...none, read: sum(pieces) }
  if (operation === 'copy')
    return { ...none, write: sizes.length, read: sizes.length, list: parents }
  // One put up to a block; beyond, the blocks and the list of them.
  const writes = pieces.map((count) => (count === 1 ? 1 : count + 1))
  return { ...none, write: sum(writes), list: parents }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}
