import type { CallOptions } from '../blob/store.ts'
import { baseName, byName, type TreeEntry, type TreeView } from './tree-view.ts'
import { checkDepth } from './walk.ts'

export interface TreeDrawingOptions extends CallOptions {
  /** How many levels are drawn. Absent: all. */
  readonly maxDepth?: number | undefined
  /** How many names of one directory are drawn; the rest is counted. Absent: all. */
  readonly maxEntries?: number | undefined
}

/** Draws what lies below `root`, a line at a time, directory by directory. */
export async function* drawTree(
  view: TreeView,
  root: string,
  options: TreeDrawingOptions = {},
): AsyncGenerator<string, void> {
  options.signal?.throwIfAborted()
  checkDepth(options.maxDepth)
  yield root === '' ? '/' : root
  yield* drawBelow(view, root, { ...options, indent: '' })
}

async function* drawBelow(
  view: TreeView,
  directory: string,
  options: TreeDrawingOptions & { readonly indent: string },
): AsyncGenerator<string, void> {
  const { indent, maxDepth, maxEntries = Number.POSITIVE_INFINITY } = options
  const children = [...(await view.list(directory, options))].sort(byName)
  const hidden = Math.max(children.length - maxEntries, 0)
  const shown = children.slice(0, children.length - hidden)
  for (const [index, child] of shown.entries()) {
    options.signal?.throwIfAborted()
    const last = index === shown.length - 1 && hidden === 0
    yield `${indent}${last ? '└── ' : '├── '}${label(child)}`
    if (child.type !== 'directory' || maxDepth === 1) continue
    const depth = maxDepth === undefined ? undefined : maxDepth - 1
    const inner = { ...options, maxDepth: depth, indent: `${indent}${last ? '    ' : '│   '}` }
    yield* drawBelow(view, child.name, inner)
  }
  if (hidden > 0) yield `${indent}└── … ${hidden} more`
}

function label(entry: TreeEntry): string {
  return entry.type === 'directory' ? `${baseName(entry.name)}/` : baseName(entry.name)
}
