import { isDeepStrictEqual } from 'node:util'
import { ExpectedBytes, viewOf } from './expected-bytes.ts'
import { type ListedBlob, ListedProperties, ListedRow } from './listed-blob.ts'
import type { BlobProperties } from './store.ts'

/** A page, or a turn of it, and the same memory to be read by the word. */
export interface PageBytes {
  readonly bytes: Buffer
  readonly view: DataView
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
  readonly before: ExpectedBytes
  readonly field: Varying
  /** Of a field in which most blobs have what the one before had. */
  readonly repeated: RepeatedValue | undefined
}

/** Nothing here may vary in what a pattern does not look at. */
const tooSpecial = /<Metadata(?! ?\/>)|<!|<\?|<Tags/

/**
 * The form of one listed blob: the text between its values. A page repeats one form thousands of times, and
 * comparing it with what comes next costs a fraction of reading it tag by tag. A pattern is only kept when it
 * reads the blob that it was learned from exactly as the scanner did; what it does not match, the scanner reads.
 */
export class ListPattern {
  readonly #steps: readonly Step[]
  readonly #tail: ExpectedBytes
  readonly #model: BlobProperties
  readonly #starts: number[]
  readonly #ends: number[]

  private constructor(steps: readonly Step[], tail: ExpectedBytes, model: BlobProperties) {
    this.#steps = steps
    this.#tail = tail
    this.#model = model
    this.#starts = steps.map(() => 0)
    this.#ends = steps.map(() => 0)
  }

  /** The form of `model`, which lies from `start` to `end`; `undefined` when it has more to it. */
  static learn(
    page: PageBytes,
    { start, end }: { readonly start: number; readonly end: number },
    { model, values }: { readonly model: ListedBlob; readonly values: ListValues },
  ): ListPattern | undefined {
    const source = page.bytes.toString('latin1', start, end)
    const steps = tooSpecial.test(source) ? undefined : stepsOf(source)
    if (steps === undefined) return undefined
    const last = source.lastIndexOf(`</${steps.at(-1)?.field}>`)
    const pattern = new ListPattern(steps, expected(source.slice(last)), model.properties)
    const again = pattern.match(page, start, values)
    return isDeepStrictEqual(again, { blob: model, end }) ? pattern : undefined
  }

  /** The blob at `at`, when it has this form. */
  match(page: PageBytes, at: number, values: ListValues): PatternMatch | undefined {
    let position = at
    for (let index = 0; index < this.#steps.length; index++) {
      const step = this.#steps[index]
      if (step === undefined || !step.before.isAt(page.view, position)) return undefined
      const start = position + step.before.length
      position = step.repeated?.endAt(page, start, values) ?? endOfValue(page.bytes, start)
      this.#starts[index] = start
      this.#ends[index] = position
    }
    if (!this.#tail.isAt(page.view, position)) return undefined
    return { blob: this.#blob(page.bytes, values), end: position + this.#tail.length }
  }

  #blob(bytes: Buffer, values: ListValues): ListedBlob {
    const properties = new ListedProperties(this.#model)
    let name = ''
    for (let index = 0; index < this.#steps.length; index++) {
      const start = this.#starts[index] ?? 0
      const end = this.#ends[index] ?? 0
      const step = this.#steps[index]
      switch (step?.field) {
        case 'Name':
          name = values.text(start, end)
          break
        case 'Creation-Time':
          properties.createdMs = step.repeated?.dateMs
          break
        case 'Last-Modified':
          properties.lastModifiedMs = step.repeated?.dateMs ?? 0
          break
        case 'Etag':
          properties.etag = values.etag(start, end)
          break
        case 'Content-Length':
          properties.sizeBytes = wholeNumber(bytes, start, end)
          break
        case 'Content-Type':
          properties.contentType = step.repeated?.text
          break
        default:
          properties.contentMd5 = values.text(start, end) || undefined
      }
    }
    return new ListedRow(name, properties)
  }
}

/** A value that is read anew only where it differs from that of the blob before. */
class RepeatedValue {
  readonly #isDate: boolean
  readonly #raw = new ExpectedBytes()
  #dateMs = 0
  #text: string | undefined

  constructor(field: Varying) {
    this.#isDate = field !== 'Content-Type'
  }

  get dateMs(): number {
    return this.#dateMs
  }

  get text(): string | undefined {
    return this.#text
  }

  /** Where the value that begins at `start` ends; it is then known. */
  endAt({ bytes, view }: PageBytes, start: number, values: ListValues): number {
    const raw = this.#raw
    const known = start + raw.length
    if (raw.isAt(view, start) && bytes[known] === LESS) return known
    const end = endOfValue(bytes, start)
    raw.learn(view, start, end)
    if (this.#isDate) this.#dateMs = values.dateMs(start, end)
    else this.#text = values.text(start, end) || undefined
    return end
  }
}

const repeatedFields: ReadonlySet<Varying> = new Set([
  'Creation-Time',
  'Last-Modified',
  'Content-Type',
])

const LESS = 0x3c

/** Up to the next tag, or the end of the page. */
function endOfValue(bytes: Buffer, start: number): number {
  let end = start
  while (end < bytes.length && bytes[end] !== LESS) end++
  return end
}

/** Digits, as a number. */
function wholeNumber(bytes: Buffer, start: number, end: number): number {
  let value = 0
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30
    if (digit < 0 || digit > 9) return Number(bytes.toString('latin1', start, end))
    value = value * 10 + digit
  }
  return value
}

function expected(text: string): ExpectedBytes {
  const bytes = Buffer.from(text, 'latin1')
  const found = new ExpectedBytes()
  found.learn(viewOf(bytes), 0, bytes.length)
  return found
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
    const before = expected(source.slice(from, start))
    from = source.indexOf('<', start)
    return {
      before,
      field,
      repeated: repeatedFields.has(field) ? new RepeatedValue(field) : undefined,
    }
  })
}
