import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FileSystemError } from '../errors.ts'
import { isMissing, onLocalDisk } from './local-error.ts'
import { partialName } from './local-file.ts'
import type { SyncFile } from './sync-side.ts'

// ETags of two accounts have nothing to do with each other, and a copy gets one of its own. So whether both
// files of a pair are what a synchronization left is told by a record of both. It is a file of this machine:
// noting it at the copy would give that another ETag, and another program may keep metadata that it finds.

/** Version of the source and version of the target. */
type Pair = readonly [source: string, target: string]

/** Which two trees a record is of. */
export interface RecordedTrees {
  readonly source: string
  readonly target: string
}

interface RecordFile extends RecordedTrees {
  readonly format: typeof format
  readonly files: Readonly<Record<string, Pair>>
}

const format = 'abfs-sync-1'

/** What synchronizations of two trees left, file by file. */
export class SyncRecord {
  readonly #path: string
  readonly #trees: RecordedTrees
  readonly #pairs: Map<string, Pair>

  private constructor(path: string, trees: RecordedTrees, pairs: Map<string, Pair>) {
    this.#path = path
    this.#trees = trees
    this.#pairs = pairs
  }

  /** Reads the record; an empty one where there is no file. `EINVAL` when it is another pair's, or no record. */
  static async open(place: string | URL, trees: RecordedTrees): Promise<SyncRecord> {
    const path = resolve(place instanceof URL ? fileURLToPath(place) : place)
    for (const tree of [trees.source, trees.target]) refuseInside(path, tree)
    const text = await readIfAny(path)
    if (text === undefined) return new SyncRecord(path, trees, new Map())
    const found = parse(text)
    if (found === undefined) throw refusal(path, 'expected a record of sync, or no file')
    if (found.source !== trees.source || found.target !== trees.target) {
      const detail = `is of ${found.source} and ${found.target}: give each pair of trees its own`
      throw refusal(path, detail)
    }
    return new SyncRecord(path, trees, new Map(Object.entries(found.files)))
  }

  /** Whether both files are what a synchronization left. */
  isSame(source: SyncFile, target: SyncFile): boolean {
    const pair = this.#pairs.get(source.path)
    return pair !== undefined && pair[0] === source.version && pair[1] === target.version
  }

  note(path: string, pair: Pair): void {
    this.#pairs.set(path, pair)
  }

  forget(path: string): void {
    this.#pairs.delete(path)
  }

  /** Replaces the file. */
  async save(): Promise<void> {
    const files = Object.fromEntries(this.#pairs)
    const content: RecordFile = { format, ...this.#trees, files }
    const partial = partialName(this.#path)
    await onLocalDisk(this.#path, async () => {
      try {
        await writeFile(partial, JSON.stringify(content), { mode: 0o600, flag: 'wx' })
        await rename(partial, this.#path)
      } finally {
        await rm(partial, { force: true })
      }
    })
  }
}

/** It would be copied, and change with every run. */
function refuseInside(path: string, tree: string): void {
  if (!path.startsWith(`${tree}${tree.endsWith(sep) ? '' : sep}`)) return
  throw refusal(path, `lies in ${tree}, and would be copied: keep it elsewhere`)
}

async function readIfAny(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    return onLocalDisk(path, () => Promise.reject(error))
  }
}

function parse(text: string): RecordFile | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is RecordFile {
  if (typeof value !== 'object' || value === null) return false
  const fields: Partial<Record<keyof RecordFile, unknown>> = { ...value }
  const { files } = fields
  if (fields.format !== format || typeof files !== 'object' || files === null) return false
  if (typeof fields.source !== 'string' || typeof fields.target !== 'string') return false
  return Object.values(files).every(
    (pair) =>
      Array.isArray(pair) && pair.length === 2 && pair.every((each) => typeof each === 'string'),
  )
}

function refusal(path: string, detail: string): FileSystemError {
  return new FileSystemError('EINVAL', 'record', { path, detail: `record: ${detail}` })
}
