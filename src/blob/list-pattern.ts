import { isDeepStrictEqual } from 'node:util'
import type { BlobProperties, ListEntry } from './store.ts'

/** A listed blob. */
export type ListedBlob = Extract<ListEntry, { kind: 'blob' }>

/** A page, and its bytes as Latin-1 text, in which positions are the same. */
export interface PageText {
  readonly text: string
  readonly bytes: Buffer
}

/** Turns the bytes of one value into what an entry has of it. */
export interface ListValues {
  text(start: number, end: number): string
  etag(start: number, end: number): string
  dateMs(start: number, end: number): number
}

/** What is read, and where a match ended. */
export interface PatternMatch {
  readonly blob: ListedBlob
  readonly end: number
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

/** The elements whose values differ from blob to blob. */
const varying = [
  'Name',
  'Creation-Time',
  'Last-Modified',
  'Etag',
  'Content-Length',
  'Content-Type',
  'Content-MD5',
] as const
type Varying = (typeof varying)[number]

/** Before each varying value, the text that leads to it. */
interface Step {
  readonly before: string
  readonly field: Varying
}

/** Nothing here may vary in what a pattern does not look at. */
const tooSpecial = /<Metadata(?! ?\/>)|<!|<\?|<Tags/

/**
 * The form of one listed blob: the text between its values. A page repeats one form thousands of times, and
 * comparing it with what comes next costs a third of reading it tag by tag. A pattern is only kept when it
 * reads the blob that it was learned from exactly as the scanner did; what it does not match, the scanner reads.
 */
export class ListPattern {
  readonly #steps: readonly Step[]
  readonly #tail: Buffer
  readonly #model: ListedBlob
  readonly #starts: number[]
  readonly #ends: number[]
  #lastType: { readonly raw: string; readonly value: string | undefined } | undefined

  private constructor(steps: readonly Step[], tail: string, model: ListedBlob) {
    this.#steps = steps
    this.#tail = Buffer.from(tail, 'latin1')
    this.#model = model
    this.#starts = steps.map(() => 0)
    this.#ends = steps.map(() => 0)
  }

  /** The form of `model`, which lies from `start` to `end`; `undefined` when it has more to it. */
  static learn(
    page: PageText,
    { start, end }: { readonly start: number; readonly end: number },
    { model, values }: { readonly model: ListedBlob; readonly values: ListValues },
  ): ListPattern | undefined {
    const source = page.text.slice(start, end)
    const steps = tooSpecial.test(source) ? undefined : stepsOf(source)
    if (steps === undefined) return undefined
    const last = source.lastIndexOf(`</${steps.at(-1)?.field}>`)
    const pattern = new ListPattern(steps, source.slice(last), model)
    const again = pattern.match(page, start, values)
    return isDeepStrictEqual(again, { blob: model, end }) ? pattern : undefined
  }

  /** The blob at `at`, when it has this form. */
  match({ text, bytes }: PageText, at: number, values: ListValues): PatternMatch | undefined {
    let position = at
    for (let index = 0; index < this.#steps.length; index++) {
      const before = this.#steps[index]?.before ?? ''
      if (!text.startsWith(before, position)) return undefined
      const start = position + before.length
      position = text.indexOf('<', start)
      if (position === -1) return undefined
      this.#starts[index] = start
      this.#ends[index] = position
    }
    const end = position + this.#tail.length
    // Hundreds of characters: as strings they would be compared one by one.
    if (end > bytes.length || bytes.compare(this.#tail, 0, this.#tail.length, position, end) !== 0)
      return undefined
    return { blob: this.#blob(text, values), end }
  }

  #blob(text: string, values: ListValues): ListedBlob {
    let name = ''
    const properties: Mutable<BlobProperties> = { ...this.#model.properties }
    for (let index = 0; index < this.#steps.length; index++) {
      const start = this.#starts[index] ?? 0
      const end = this.#ends[index] ?? 0
      switch (this.#steps[index]?.field) {
        case 'Name':
          name = values.text(start, end)
          break
        case 'Creation-Time':
          properties.createdMs = values.dateMs(start, end)
          break
        case 'Last-Modified':
          properties.lastModifiedMs = values.dateMs(start, end)
          break
        case 'Etag':
          properties.etag = values.etag(start, end)
          break
        case 'Content-Length':
          properties.sizeBytes = Number(text.slice(start, end))
          break
        case 'Content-Type':
          properties.contentType = this.#contentType(text, { start, end, values })
          break
        default:
          properties.contentMd5 = values.text(start, end) || undefined
      }
    }
    return { kind: 'blob', name, properties }
  }

  /** Most blobs of a page have the same as the one before. */
  #contentType(
    text: string,
    { start, end, values }: { start: number; end: number; values: ListValues },
  ): string | undefined {
    const known = this.#lastType
    if (known?.raw.length === end - start && text.startsWith(known.raw, start)) return known.value
    const value = values.text(start, end) || undefined
    this.#lastType = { raw: text.slice(start, end), value }
    return value
  }
}

/** In the order in which the varying elements stand; `undefined` when one stands there twice. */
function stepsOf(source: string): readonly Step[] | undefined {
  const found: { readonly field: Varying; readonly start: number }[] = []
  for (const field of varying) {
    const tag = `<${field}>`
    const start = source.indexOf(tag)
    if (start === -1) continue
    if (source.includes(tag, start + 1)) return undefined
    found.push({ field, start: start + tag.length })
  }
  found.sort((a, b) => a.start - b.start)
  if (found[0]?.field !== 'Name') return undefined
  let from = 0
  return found.map(({ field, start }) => {
    const before = source.slice(from, start)
    from = source.indexOf('<', start)
    return { before, field }
  })
}
