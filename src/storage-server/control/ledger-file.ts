import { createWriteStream } from 'node:fs'
import type { LedgerEntry } from './ledger.ts'

/** A file that gets one line of JSON per request. */
export interface LedgerFile {
  readonly write: (entry: LedgerEntry) => void
  /** Resolves once all lines are in the file. Never throws. */
  close(): Promise<void>
}

/** Opens a file for a ledger's `onEntry`; lines are added to what it holds. Readable by its owner. */
export function openLedgerFile(path: string, onError: (error: Error) => void): LedgerFile {
  const stream = createWriteStream(path, { flags: 'a', mode: 0o600 })
  stream.on('error', onError)
  return {
    write: (entry) => {
      stream.write(`${JSON.stringify(entry)}\n`)
    },
    close: () => new Promise((resolve) => stream.end(() => resolve())),
  }
}
