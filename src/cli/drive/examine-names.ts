/** Which blobs of a place a drive cannot show under their own names. */
import { listPages } from '../../blob/store.ts'
import { entryFromBlob } from '../../namespace/blob-entry.ts'
import { canBeOpened, childPrefix, isReserved } from '../../namespace/blob-name.ts'
import type { BlobPath } from '../../path.ts'
import type { Account } from '../compose.ts'
import { formatCount, printable } from '../output.ts'
import type { Finding } from './examine.ts'

/** How many names are looked at: ten requests. */
const maxNames = 50_000
const shownNames = 5

interface Found {
  names: number
  isAll: boolean
  /** Files that a directory of their name hides. */
  readonly shadowed: string[]
  /** `a//b`, `../c`, components over 255 bytes: no file system can have them. */
  readonly unreachable: string[]
}

/** Looks at up to 50,000 names below `root`, in the order of a listing; one finding. */
export async function examineNames(
  { store }: Account,
  root: BlobPath,
  signal: AbortSignal,
): Promise<Finding> {
  const found: Found = { names: 0, isAll: true, shadowed: [], unreachable: [] }
  /** Files that a directory of the same name may still follow: `a`, `a-b`, `a/c` is the order. */
  let held: string[] = []
  const prefix = { ...root, name: childPrefix(root.name) }
  for await (const rows of listPages(store, prefix, { signal })) {
    for (const row of rows) {
      if (row.kind !== 'blob' || row.name === prefix.name || isReserved(row.name)) continue
      held = held.filter((name) => isHeld(name, row.name, found.shadowed))
      const bare = row.name.replace(/\/$/, '')
      if (!canBeOpened(bare)) found.unreachable.push(row.name)
      else if (entryFromBlob(row.name, row.properties).type !== 'directory') held.push(row.name)
    }
    found.names += rows.length
    found.isAll = found.names < maxNames
    if (!found.isAll) break
  }
  return { name: 'names', ...describe(found) }
}

/** Whether the directory of `name` may come after `next`; when it is `next` that lies in it, it is noted. */
function isHeld(name: string, next: string, shadowed: string[]): boolean {
  const following = next.startsWith(name) ? next.charAt(name.length) : 'z'
  if (following === '/') shadowed.push(name)
  return following < '/'
}

function describe({ names, isAll, shadowed, unreachable }: Found): Omit<Finding, 'name'> {
  const many = `${isAll ? 'all' : 'the first'} ${formatCount(names, 'name')} below it`
  const said = [
    ...(shadowed.length === 0
      ? []
      : [
          `files that a directory of the same name hides in drives (abfs cat and the library reach them): ${some(shadowed)}`,
        ]),
    ...(unreachable.length === 0 ? [] : [`blobs whose names no path can be: ${some(unreachable)}`]),
  ]
  if (said.length === 0) return { verdict: 'ok', detail: `drives show ${many}` }
  return { verdict: 'warned', detail: `of ${many}, ${said.join('; and ')}` }
}

function some(names: readonly string[]): string {
  const shown = names.slice(0, shownNames).map((name) => `'${printable(name)}'`)
  const rest = names.length - shown.length
  return `${shown.join(', ')}${rest === 0 ? '' : ` and ${rest} more`}`
}
