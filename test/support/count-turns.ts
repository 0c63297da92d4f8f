/** Counts turns of the event loop until it is ended. */
export function countTurns(): { count(): number; end(): void } {
  let turns = 0
  let next = setImmediate(function count() {
    turns += 1
    next = setImmediate(count)
  })
  return { count: () => turns, end: () => clearImmediate(next) }
}
