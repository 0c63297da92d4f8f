import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { makeDirectoriesSync } from '../../make-directories.ts'
import { startTimeOf } from '../../process-identity.ts'
import type { Hiding } from './shown.ts'

/** A disk cache, and the bytes that it may hold. */
export interface CacheSettings {
  readonly directory: string
  readonly maxBytes: number
}

/** Which process serves a drive, and where it writes. */
export interface DriveRecord {
  readonly pid: number
  /** Tells the process from a later one with the same id. */
  readonly startTime: string
  readonly directory: string
  readonly source: string
  /** The directory that it is taken down with. */
  readonly below?: string | undefined
  /** Whether it shows what was there once. */
  readonly isPast?: boolean | undefined
  /** What it shows of it, where not all. */
  readonly hiding?: Hiding | undefined
  /** Where it keeps what was read, if it does. */
  readonly cache?: CacheSettings | undefined
  readonly logFile?: string | undefined
  readonly statsFile?: string | undefined
  /** When it was mounted; milliseconds since the epoch. */
  readonly sinceMs?: number | undefined
  /** Where the process answers this user; see control-server.ts. */
  readonly controlSocket?: string | undefined
  /** The process that starts another in its place when it ends. */
  readonly keeperPid?: number | undefined
  /** Tells that from a later one with the same id. */
  readonly keeperStartTime?: string | undefined
  /** What that one will read. */
  readonly handoverFile?: string | undefined
}

const driveRecord: z.ZodType<DriveRecord> = z.object({
  pid: z.number().int().positive(),
  startTime: z.string(),
  directory: z.string(),
  source: z.string(),
  below: z.string().optional(),
  isPast: z.boolean().optional(),
  hiding: z
    .object({
      include: z.array(z.string()),
      exclude: z.array(z.string()),
      filter: z.string().optional(),
    })
    .optional(),
  cache: z.object({ directory: z.string(), maxBytes: z.number() }).optional(),
  logFile: z.string().optional(),
  statsFile: z.string().optional(),
  sinceMs: z.number().optional(),
  controlSocket: z.string().optional(),
  keeperPid: z.number().optional(),
  keeperStartTime: z.string().optional(),
  handoverFile: z.string().optional(),
})

/** Notes that this process serves `record.directory`; `forgetDrive` undoes it. */
export function rememberDrive(
  registry: string,
  record: Omit<DriveRecord, 'pid' | 'startTime'>,
): void {
  makeDirectoriesSync(registry, 0o755)
  const self = { pid: process.pid, startTime: startTimeOf(process.pid) ?? '' }
  writeFileSync(fileOf(registry, record.directory), JSON.stringify({ ...self, ...record }))
}

/** Removes the note about `directory`, unless it is of another process, which mounted there since. */
export function forgetDrive(registry: string, directory: string): void {
  const record = readRecord(fileOf(registry, directory))
  if (record === undefined || record.pid === process.pid)
    rmSync(fileOf(registry, directory), { force: true })
}

/** The note about `directory`, if the process it names is alive. */
export function recallDrive(registry: string, directory: string): DriveRecord | undefined {
  const record = readRecord(fileOf(registry, directory))
  return record !== undefined && isAlive(record) ? record : undefined
}

/** The notes about all drives whose processes are alive. */
export function recallDrives(registry: string): DriveRecord[] {
  return notesIn(registry).filter((record) => isAlive(record))
}

/** What processes that died have left. */
export function recallDead(registry: string): DriveRecord[] {
  return notesIn(registry).filter((record) => !isAlive(record))
}

/** Removes what a process that died has left, unless another one has taken its place; never `ownFile`, which it has taken over. */
export function sweepDead(registry: string, dead: DriveRecord, ownFile: string | undefined): void {
  const { directory, pid, controlSocket, handoverFile } = dead
  if (controlSocket !== undefined) rmSync(controlSocket, { force: true })
  if (handoverFile !== undefined && handoverFile !== ownFile) rmSync(handoverFile, { force: true })
  if (readRecord(fileOf(registry, directory))?.pid === pid)
    rmSync(fileOf(registry, directory), { force: true })
}

/** Where this process answers, that serves `directory`; one that still sends may answer beside it. */
export function controlSocketOf(registry: string, directory: string): string {
  return fileOf(registry, directory).replace(/\.json$/, `-${process.pid}.sock`)
}

/** Where a process that serves `directory` leaves what one that takes over has to know. */
export function handoverFileOf(registry: string, directory: string): string {
  return fileOf(registry, directory).replace(/\.json$/, '.handover')
}

/** Whether the process that serves a drive still runs. */
export function isAlive(record: Pick<DriveRecord, 'pid' | 'startTime'>): boolean {
  return startTimeOf(record.pid) === record.startTime
}

/** Whether another process is about to serve a drive when its own has ended. */
export function hasKeeper({ keeperPid, keeperStartTime }: DriveRecord): boolean {
  return keeperPid !== undefined && startTimeOf(keeperPid) === keeperStartTime
}

function notesIn(registry: string): DriveRecord[] {
  try {
    return readdirSync(registry)
      .filter((name) => name.endsWith('.json'))
      .map((name) => readRecord(join(registry, name)))
      .filter((record) => record !== undefined)
  } catch {
    // No drive was ever mounted.
    return []
  }
}

function readRecord(file: string): DriveRecord | undefined {
  try {
    return driveRecord.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    // Missing, half-written or of another version: the drive can be unmounted without the note.
    return undefined
  }
}

function fileOf(registry: string, directory: string): string {
  const name = createHash('sha256').update(directory).digest('hex').slice(0, 16)
  return join(registry, `${name}.json`)
}
