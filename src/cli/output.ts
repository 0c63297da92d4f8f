import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { GiB, KiB, MiB } from '../byte-range.ts'

type TerminalStream = Writable & {
  readonly isTTY?: boolean
  readonly rows?: number
  readonly columns?: number
}

/** Where a command writes what it was asked for. */
export class Output {
  readonly #stream: TerminalStream

  constructor(stream: TerminalStream) {
    this.#stream = stream
  }

  /** Whether a person is looking. */
  get isTerminal(): boolean {
    return this.#stream.isTTY === true
  }

  /** What of `lines` fits the terminal, so that none wraps and the first ones stay in sight. */
  fitted(lines: readonly string[]): readonly string[] {
    const { rows, columns } = this.#stream
    return fitScreen(lines, { rows: rows || 24, columns: columns || 80 })
  }

  /** Writes `data`, and waits while the reader is slower. */
  async write(data: string | Uint8Array): Promise<void> {
    if (!this.#stream.write(data)) await once(this.#stream, 'drain')
  }

  /** Resolves when all that was written has left the process. */
  async flushed(): Promise<void> {
    const stream = this.#stream
    if (stream.writableLength === 0) return
    await new Promise<void>((resolve, reject) => {
      stream.write('', (error) => (error instanceof Error ? reject(error) : resolve()))
    })
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`)
  }

  /** One JSON value on one line. Big integers become strings. */
  json(value: unknown): Promise<void> {
    return this.line(
      JSON.stringify(value, (_key, item) => (typeof item === 'bigint' ? String(item) : item)),
    )
  }
}

/** Cuts lines to `columns`, and says how many do not fit `rows`, of which the last is the cursor's. */
export function fitScreen(
  lines: readonly string[],
  { rows, columns }: { readonly rows: number; readonly columns: number },
): readonly string[] {
  const room = Math.max(1, rows - 1)
  const left = lines.length - (room - 1)
  const shown = left > 1 ? [...lines.slice(0, room - 1), `… ${left} more lines`] : lines
  return shown.map((line) => (line.length > columns ? `${line.slice(0, columns - 1)}…` : line))
}

/** `rows` in columns as wide as their widest cell; those in `rightAligned` (by index) end together. */
export function formatTable(
  rows: readonly (readonly string[])[],
  rightAligned: readonly number[] = [],
): string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  const pad = (cell: string, column: number): string =>
    rightAligned.includes(column)
      ? cell.padStart(widths[column] ?? 0)
      : cell.padEnd(widths[column] ?? 0)
  return rows.map((row) => row.map(pad).join('  ').trimEnd())
}

/** Bytes for people: `712 B`, `1.5 KiB`, `300.0 MiB`. */
export function formatBytes(sizeBytes: number): string {
  if (sizeBytes >= GiB) return `${(sizeBytes / GiB).toFixed(1)} GiB`
  if (sizeBytes >= MiB) return `${(sizeBytes / MiB).toFixed(1)} MiB`
  if (sizeBytes >= KiB) return `${(sizeBytes / KiB).toFixed(1)} KiB`
  return `${sizeBytes} B`
}

/** `1 file`, `2 files`; `many` where another word than with an `s` stands for several. */
export function formatCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

/** `2026-01-31 12:00:00` in UTC; `-` when the time is not known. */
export function formatTime(timeMs: number | undefined): string {
  return timeMs === undefined ? '-' : new Date(timeMs).toISOString().slice(0, 19).replace('T', ' ')
}

/** Makes control characters of a name visible, so that a name cannot drive the terminal. */
export function printable(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return name.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, (character) =>
    character === '\n' ? '\\n' : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )
}
