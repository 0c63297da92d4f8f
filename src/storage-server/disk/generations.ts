import { existsSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { damaged } from './disk-error.ts'
import { readFrames } from './frames.ts'

// `snapshot-N` is all there was when `journal-N` began. A journal goes on in N + 1 before the
// snapshot of that number is written, so that until then the older snapshot and both journals count.

/** The files that a directory's state is read from. */
export interface Generations {
  /** `undefined` where no snapshot was ever written. */
  readonly snapshot: number | undefined
  /** Without gaps, oldest first; the last is written to. */
  readonly journals: readonly number[]
}

/** `journal-N` of a directory. */
export function journalPath(directory: string, generation: number): string {
  return join(directory, `journal-${String(generation).padStart(6, '0')}`)
}

/** `snapshot-N` of a directory. */
export function snapshotPath(directory: string, generation: number): string {
  return join(directory, `snapshot-${String(generation).padStart(6, '0')}`)
}

/** Finds the files; throws `FileSystemError` `EIO` where one is missing. */
export function findGenerations(directory: string): Generations {
  const snapshot = numbersOf(directory, 'snapshot').at(-1)
  const first = snapshot ?? 1
  const journals = numbersOf(directory, 'journal').filter((number) => number >= first)
  if (journals.length === 0 && snapshot === undefined) journals.push(first)
  const last = journals.at(-1) ?? first
  for (let number = first; number <= last; number++) {
    if (journals[number - first] === number) continue
    throw damaged(
      journalPath(directory, number),
      'this file is missing: put it back, or begin with another directory',
    )
  }
  return { snapshot, journals }
}

/** Reads all frames in order. Returns the bytes of the last journal that hold whole frames. */
export function readGenerations(
  directory: string,
  { snapshot, journals }: Generations,
  take: (payload: string) => void,
): number {
  if (snapshot !== undefined) {
    readFrames(snapshotPath(directory, snapshot), { mayBeTorn: false, take })
  }
  let whole = 0
  for (const number of journals) {
    const path = journalPath(directory, number)
    const mayBeTorn = number === journals.at(-1)
    whole = existsSync(path) ? readFrames(path, { mayBeTorn, take }) : 0
  }
  return whole
}

/** Removes what a snapshot stands for, and snapshots that were never finished. */
export function removeBefore(directory: string, generation: number): void {
  for (const name of readdirSync(directory)) {
    const [, number] = /^(?:snapshot|journal)-(\d+)$/.exec(name) ?? []
    const isOld = number !== undefined && Number(number) < generation
    if (isOld || /^snapshot-\d+\.new$/.test(name)) rmSync(join(directory, name), { force: true })
  }
}

/** The bytes of a file, 0 where there is none. */
export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

function numbersOf(directory: string, kind: 'snapshot' | 'journal'): number[] {
  return readdirSync(directory)
    .flatMap((name) => {
      const [, number] = new RegExp(`^${kind}-(\\d+)$`).exec(name) ?? []
      return number === undefined ? [] : [Number(number)]
    })
    .sort((one, other) => one - other)
}
