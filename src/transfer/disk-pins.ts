import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { makeDirectories } from '../make-directories.ts'
import type { BlobPath } from '../path.ts'

/** A version that room is not made from. */
export interface PinnedVersion {
  readonly endpoint: string
  readonly path: BlobPath
  readonly etag: string
  readonly sizeBytes: number
  /** Milliseconds since the epoch. */
  readonly pinnedAtMs: number
}

/** The file that says so, beside the segments of a version. */
export const pinName = 'pinned'

const pinned: z.ZodType<PinnedVersion> = z.object({
  endpoint: z.string(),
  path: z.object({ container: z.string(), name: z.string() }),
  etag: z.string(),
  sizeBytes: z.number(),
  pinnedAtMs: z.number(),
})

/** Notes in the directory of a version, which is made, that it stays. */
export async function writePin(directory: string, version: PinnedVersion): Promise<void> {
  await makeDirectories(directory, 0o700)
  const unfinished = join(directory, `${pinName}.${process.pid}`)
  await writeFile(unfinished, JSON.stringify(version), { mode: 0o600 })
  await rename(unfinished, join(directory, pinName))
}

/** What is noted in the directory of a version; `undefined` when it may go. */
export async function readPin(directory: string): Promise<PinnedVersion | undefined> {
  const text = await readFile(join(directory, pinName), 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  const result = pinned.safeParse(parseJson(text))
  return result.success ? result.data : undefined
}

/** Whether the version in `directory` stays, whatever its note says. */
export async function isPinned(directory: string): Promise<boolean> {
  return stat(join(directory, pinName)).then(
    () => true,
    () => false,
  )
}

export async function removePin(directory: string): Promise<void> {
  await rm(join(directory, pinName), { force: true })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
