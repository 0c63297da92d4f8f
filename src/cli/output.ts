import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { GiB, KiB, MiB } from '../byte-range.ts'

/** Where a command writes what it was asked for. */
export class Output {
  readonly #stream: Writable & { readonly isTTY?: boolean }

  constructor(stream: Writable & { readonly isTTY?: boolean }) {
    this.#stream = stream
  }

  /** Whether a person is looking. */
  get isTerminal(): boolean {
    return this.#stream.isTTY === true
  }

  /** Writes `data`, and waits while the reader is slower. */
  async write(data: string | Uint8Array): Promise<void> {
    if (!this.#stream.write(data)) await once(this.#stream, 'drain')
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
