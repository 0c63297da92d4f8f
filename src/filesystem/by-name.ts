import { nextTurn } from '../clock.ts'
import { inTurns, itemsATurn, joined } from '../turns.ts'
import { byName, type TreeEntry } from './tree-view.ts'

/**
 * What is wanted of `pages`, by name. A listing is in order as a rule; what is not is sorted in turns: at once a million
 * names take more than a second, in which nothing else of the process moves.
 */
export async function collectByName<E extends TreeEntry>(
  pages: AsyncIterable<readonly E[]>,
  isWanted: (entry: E) => boolean = () => true,
): Promise<E[]> {
  const parts: E[][] = []
  let isInOrder = true
  let last = ''
  for await (const page of pages) {
    const wanted = page.filter(isWanted)
    for (const { name } of wanted) {
      isInOrder &&= last <= name
      last = name
    }
    if (wanted.length > 0) parts.push(wanted)
  }
  return isInOrder ? joined(parts) : mergeSort(joined(parts))
}

/** `entries` by name. */
export function sortedByName<E extends TreeEntry>(entries: Iterable<E>): Promise<E[]> {
  return collectByName(inTurns(entries))
}

async function mergeSort<E extends TreeEntry>(entries: readonly E[]): Promise<E[]> {
  let runs: E[][] = []
  for await (const part of inTurns(entries)) runs.push([...part].sort(byName))
  while (runs.length > 1) {
    const merged: E[][] = []
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(await merge(runs[at] ?? [], runs[at + 1] ?? []))
    }
    runs = merged
  }
  return runs[0] ?? []
}

/** Both are in order; where names are equal those of `left` come first. */
async function merge<E extends TreeEntry>(left: readonly E[], right: readonly E[]): Promise<E[]> {
  const parts: E[][] = []
  let [atLeft, atRight] = [0, 0]
  while (atLeft < left.length && atRight < right.length) {
    const part: E[] = []
    while (part.length < itemsATurn) {
      const [first, second] = [left[atLeft], right[atRight]]
      if (first === undefined || second === undefined) break
      const isFirst = byName(first, second) <= 0
      part.push(isFirst ? first : second)
      if (isFirst) atLeft++
      else atRight++
    }
    parts.push(part)
    await nextTurn()
  }
  return joined([...parts, left.slice(atLeft), right.slice(atRight)])
}
