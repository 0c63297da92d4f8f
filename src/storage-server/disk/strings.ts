import type { PathRecord } from '../model/record.ts'

// What a million records say alike is kept once: content types, owners, lists of rights.
const maxStrings = 10_000

/** Gives equal strings one place in memory. */
export class Strings {
  readonly #strings = new Map<string, string>()

  /** Shares the strings of a record that others are likely to have; in place, before it is seen. */
  share(record: PathRecord): void {
    if (record.kind === 'blob') this.#shareIn(record.headers)
    if (record.ownership !== undefined) this.#shareIn(record.ownership)
  }

  #shareIn(object: object): void {
    for (const [name, value] of Object.entries(object)) {
      if (typeof value !== 'string') continue
      const known = this.#strings.get(value)
      if (known !== undefined) Reflect.set(object, name, known)
      else if (this.#strings.size < maxStrings) this.#strings.set(value, value)
    }
  }
}
