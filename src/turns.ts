import { nextTurn } from './clock.ts'

/** Of what takes a microsecond for each, with the garbage that it makes: some ten milliseconds. */
export const itemsATurn: number = 10_000

/** `items` in their order, so many at a time: after each part others have their turn. */
export async function* inTurns<T>(
  items: Iterable<T>,
  atATime: number = itemsATurn,
): AsyncGenerator<readonly T[], void> {
  let isFirst = true
  for (const part of partsOf(items, atATime)) {
    if (!isFirst) await nextTurn()
    isFirst = false
    yield part
  }
}

function* partsOf<T>(items: Iterable<T>, atATime: number): Generator<readonly T[], void> {
  if (Array.isArray(items)) return yield* slicesOf<T>(items, atATime)
  let part: T[] = []
  for (const item of items) {
    if (part.length === atATime) {
      yield part
      part = []
    }
    part.push(item)
  }
  if (part.length > 0) yield part
}

/** Copied as a whole: an array that grows is garbage several times over. */
function* slicesOf<T>(items: readonly T[], atATime: number): Generator<readonly T[], void> {
  if (items.length <= atATime) {
    if (items.length > 0) yield items
    return
  }
  for (let at = 0; at < items.length; at += atATime) yield items.slice(at, at + atATime)
}

/** An array takes so many arguments without much stack. */
const partsAtOnce = 10_000

/** All items of `parts`: an array that grows is copied again and again, and is garbage as often. */
export function joined<T>(parts: readonly (readonly T[])[]): T[] {
  const all: T[] = []
  if (parts.length <= partsAtOnce) return all.concat(...parts)
  const groups: T[][] = []
  for (let at = 0; at < parts.length; at += partsAtOnce) {
    groups.push(joined(parts.slice(at, at + partsAtOnce)))
  }
  return joined(groups)
}

/** Everything that pages hold. */
export async function collectPages<T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> {
  const parts: (readonly T[])[] = []
  for await (const page of pages) parts.push(page)
  return joined(parts)
}
