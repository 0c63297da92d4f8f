import { createHash, randomBytes } from 'node:crypto'
import { readFile, rm, writeFile } from 'node:fs/promises'
import type { ByteRange } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import { isMissing, onLocalDisk } from './local-error.ts'

// A journal is a file of this machine with one JSON object a line, the first of which says what transfer it
// belongs to. Lines are only added: a process that is killed leaves all but perhaps a torn last line, which
// is dropped. Nothing in it is believed without a look: what is done is compared with the etag that the
// service tells and with the local file, and each range of a partial file with its checksum.

/** What transfer a journal belongs to. */
export interface TransferIdentity {
  readonly operation: 'put' | 'get'
  readonly account: string
  readonly source: string | readonly string[]
  readonly target: string | readonly string[]
}

/** What a local file was, by which it is known again. */
export interface LocalState {
  readonly size: number
  /** Nanoseconds since the epoch, in decimal. */
  readonly mtimeNs: string
}

/** A file that was transferred: which version, and the local file then. */
export interface DoneFile extends LocalState {
  readonly etag: string
}

/** A range of a partial file, and the checksum of its bytes. */
export interface DoneRange extends ByteRange {
  readonly sum: string
}

/** A download that has begun. */
export interface PartialFile {
  readonly etag: string
  readonly ranges: readonly DoneRange[]
}

type Line =
  | { readonly kind: 'transfer'; readonly session: string; readonly identity: TransferIdentity }
  /** Whether sources land inside the target, which itself may be what the first run makes. */
  | { readonly kind: 'plan'; readonly isInside: boolean }
  /** An upload in blocks begins. */
  | { readonly kind: 'staging'; readonly path: string }
  /** A download in pieces begins: what was there of an earlier one is worth nothing. */
  | { readonly kind: 'part'; readonly path: string; readonly etag: string }
  | ({ readonly kind: 'range'; readonly path: string } & DoneRange)
  | ({ readonly kind: 'done'; readonly path: string } & DoneFile)

/** How far a transfer of many files is, kept so that another process can go on with it. */
export class TransferJournal {
  readonly #path: string
  /** Lowercase hexadecimal, of 8 characters: tells what is this transfer's from what is not. */
  readonly session: string
  readonly #staging = new Set<string>()
  readonly #parts = new Map<string, { etag: string; ranges: DoneRange[] }>()
  readonly #done = new Map<string, DoneFile>()
  #isInside: boolean | undefined
  #pending = ''
  /** A journal that begins replaces what may be left of one whose beginning is torn. */
  #flag: 'a' | 'w' = 'a'
  #writing: Promise<void> | undefined
  #next: Promise<void> | undefined

  private constructor(path: string, session: string) {
    this.#path = path
    this.session = session
  }

  /** Goes on with the journal at `path`, or begins one. `EINVAL` when it is another transfer's, or no journal. */
  static async open(path: string, identity: TransferIdentity): Promise<TransferJournal> {
    const text = withoutTornHead(await readIfAny(path))
    const lines = parse(text, path)
    const [first] = lines
    if (first !== undefined) checkIdentity(first, identity, path)
    const session = first?.kind === 'transfer' ? first.session : randomBytes(4).toString('hex')
    const journal = new TransferJournal(path, session)
    for (const line of lines) journal.#take(line)
    // A torn line is ended, so that the next is one of its own.
    if (text !== '' && !text.endsWith('\n')) journal.#pending = '\n'
    if (first !== undefined) return journal
    // With the first line that tells something: a transfer that never begins leaves no journal.
    journal.#pending = `${JSON.stringify({ kind: 'transfer', session, identity })}\n`
    journal.#flag = 'w'
    return journal
  }

  /** What an earlier run decided; else what `decide` says, for later runs too. */
  async remember(decide: () => Promise<boolean>): Promise<boolean> {
    const isInside = this.#isInside ?? (await decide())
    if (this.#isInside === undefined) await this.#add({ kind: 'plan', isInside })
    return isInside
  }

  /** What an earlier run, or this one, finished under that destination. */
  doneFile(path: string): DoneFile | undefined {
    return this.#done.get(path)
  }

  /** Whether blocks of that destination may be staged already. */
  wasStaging(path: string): boolean {
    return this.#staging.has(path)
  }

  /** The ranges of that destination's partial file that were written. */
  partialFile(path: string): PartialFile | undefined {
    return this.#parts.get(path)
  }

  noteStaging(path: string): Promise<void> {
    return this.#add({ kind: 'staging', path })
  }

  notePart(path: string, etag: string): Promise<void> {
    return this.#add({ kind: 'part', path, etag })
  }

  noteRange(path: string, range: DoneRange): Promise<void> {
    return this.#add({ kind: 'range', path, ...range })
  }

  noteDone(path: string, done: DoneFile): Promise<void> {
    return this.#add({ kind: 'done', path, ...done })
  }

  /** Ends the journal: the transfer is complete. */
  async remove(): Promise<void> {
    await this.#next?.catch(() => undefined)
    await this.#writing?.catch(() => undefined)
    await onLocalDisk(this.#path, () => rm(this.#path, { force: true }))
  }

  /** Resolves when the line is with the system; lines that come meanwhile go together. */
  #add(line: Line): Promise<void> {
    this.#take(line)
    this.#pending += `${JSON.stringify(line)}\n`
    this.#next ??= this.#writeNext()
    return this.#next
  }

  async #writeNext(): Promise<void> {
    await this.#writing?.catch(() => undefined)
    this.#next = undefined
    const [text, flag] = [this.#pending, this.#flag]
    this.#pending = ''
    this.#flag = 'a'
    this.#writing = onLocalDisk(this.#path, () =>
      writeFile(this.#path, text, { flag, mode: 0o600 }),
    )
    return this.#writing
  }

  #take(line: Line): void {
    if (line.kind === 'plan') this.#isInside = line.isInside
    if (line.kind === 'staging') this.#staging.add(line.path)
    if (line.kind === 'part') this.#parts.set(line.path, { etag: line.etag, ranges: [] })
    if (line.kind === 'range') {
      const { start, end, sum } = line
      this.#parts.get(line.path)?.ranges.push({ start, end, sum })
    }
    if (line.kind === 'done') {
      const { size, mtimeNs, etag } = line
      this.#done.set(line.path, { size, mtimeNs, etag })
    }
  }
}

/** What ranges and blocks are compared by. */
export function checksumOf(data: Uint8Array): Buffer {
  return createHash('sha256').update(data).digest()
}

async function readIfAny(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return ''
    return onLocalDisk(path, () => Promise.reject(error))
  }
}

const headBegins = '{"kind":"transfer"'

/** Nothing, where a process was killed while it began the journal. */
function withoutTornHead(text: string): string {
  const isHead = text.startsWith(headBegins) || headBegins.startsWith(text)
  return isHead && !text.includes('\n') ? '' : text
}

function parse(text: string, path: string): Line[] {
  const lines: Line[] = []
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '') continue
    const parsed = parseLine(line)
    if (parsed !== undefined) lines.push(parsed)
    else if (index === 0) throw notAJournal(path)
  }
  if (lines.length > 0 && lines[0]?.kind !== 'transfer') throw notAJournal(path)
  return lines
}

/** `undefined` for what is torn. */
function parseLine(line: string): Line | undefined {
  try {
    const value: unknown = JSON.parse(line)
    return isLine(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isLine(value: unknown): value is Line {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false
  const fields: Partial<Record<string, unknown>> = { ...value }
  const has = (type: 'string' | 'number', ...names: readonly string[]) =>
    names.every((name) => typeof fields[name] === type)
  if (fields['kind'] === 'transfer') return has('string', 'session') && 'identity' in value
  if (fields['kind'] === 'plan') return typeof fields['isInside'] === 'boolean'
  if (!has('string', 'path')) return false
  if (fields['kind'] === 'staging') return true
  if (fields['kind'] === 'part') return has('string', 'etag')
  if (fields['kind'] === 'range') return has('string', 'sum') && has('number', 'start', 'end')
  return fields['kind'] === 'done' && has('string', 'etag', 'mtimeNs') && has('number', 'size')
}

function checkIdentity(first: Line, identity: TransferIdentity, path: string): void {
  if (first.kind !== 'transfer') throw notAJournal(path)
  if (JSON.stringify(first.identity) === JSON.stringify(identity)) return
  const detail =
    'this journal belongs to another transfer: give another file, or delete it to begin anew'
  throw new FileSystemError('EINVAL', 'resume', { path, detail })
}

function notAJournal(path: string): FileSystemError {
  const detail = 'expected a journal of a transfer, or no file; nothing was changed'
  return new FileSystemError('EINVAL', 'resume', { path, detail })
}
