import type { FileHandle } from 'node:fs/promises'
import { z } from 'zod'
import type { Metadata } from '../blob/store.ts'
import { type ByteRange, KiB, lengthOf } from '../byte-range.ts'
import { crc32 } from '../crc32.ts'
import { FileSystemError } from '../errors.ts'
import type { BlobPath } from '../path.ts'
import type { BaseVersion, FileContent } from '../transfer/file-content.ts'
import type { Described } from './transfers.ts'

/** Why a version lies in the journal. */
export type KeptReason =
  /** It is to be stored: by this mount soon, or by the next one. */
  | 'pending'
  /** Another version was in its place. */
  | 'conflict'
  /** It could not be stored, and nobody was left to be told. */
  | 'failed'

/** A version of a file, a directory or a removal that is not in Azure, as its record tells. */
export interface KeptVersion {
  readonly id: string
  readonly reason: KeptReason
  readonly path: BlobPath
  /** It is no file, and has no bytes: a directory, which replaces nothing, or that version `replaces` is to go. */
  readonly type?: 'directory' | 'removal' | undefined
  readonly sizeBytes: number
  /** The version that it may replace; absent: none may be there. */
  readonly replaces?: string | undefined
  /** Of a file that was made and never written: what was set, as metadata tells it. */
  readonly setOnMade?: Metadata | undefined
  /** The version that shows through up to `endBytes` where no part lies. */
  readonly base?: (BaseVersion & { readonly endBytes: number }) | undefined
  /** What lies in the data file, each with its CRC-32; a part without one is zeros. Of small files it is in the record. */
  readonly parts: readonly KeptPart[]
  readonly description: Described
}

export interface KeptPart extends ByteRange {
  readonly crc32?: number | undefined
  /** The bytes, as base64, where no data file has them. */
  readonly bytes?: string | undefined
}

/** So many bytes stand in the record itself: it is one small file, written at once. */
const mostInRecord = 64 * KiB

const described = z.object({
  metadata: z.record(z.string(), z.string()).optional(),
  contentType: z.string().optional(),
  headers: z
    .object({
      contentEncoding: z.string().optional(),
      contentLanguage: z.string().optional(),
      contentDisposition: z.string().optional(),
      cacheControl: z.string().optional(),
    })
    .optional(),
  tier: z.string().optional(),
  tags: z.record(z.string(), z.string()).optional(),
})

const count = z.number().int().min(0)
const path = z.object({ container: z.string(), name: z.string() })

const record: z.ZodType<KeptVersion> = z.object({
  id: z.string().regex(/^[\w.-]+$/),
  reason: z.enum(['pending', 'conflict', 'failed']),
  path,
  type: z.enum(['directory', 'removal']).optional(),
  sizeBytes: count,
  replaces: z.string().optional(),
  setOnMade: z.record(z.string(), z.string()).optional(),
  base: z.object({ path, etag: z.string(), sizeBytes: count, endBytes: count }).optional(),
  parts: z.array(
    z.object({ start: count, end: count, crc32: count.optional(), bytes: z.string().optional() }),
  ),
  description: described,
})

/** The version that a record tells of; `undefined` where it is none. */
export function readRecord(text: string): KeptVersion | undefined {
  const result = record.safeParse(parseJson(text))
  return result.success ? result.data : undefined
}

/** What differs, with its bytes; `undefined` where that is too much for a record. */
export async function partsInRecord(content: FileContent): Promise<KeptPart[] | undefined> {
  const changes = [...content.changesIn({ start: 0, end: content.sizeBytes })]
  if (changes.reduce((total, change) => total + lengthOf(change), 0) > mostInRecord)
    return undefined
  const parts: KeptPart[] = []
  for await (const { range, bytes } of content.changes()) {
    const text =
      bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
    parts.push(bytes === undefined ? range : { ...range, crc32: crc32(bytes), bytes: text })
  }
  return parts
}

/** The bytes of a part that has them itself. `EIO` when they are not what was written; `place` names the version. */
export function bytesIn(part: KeptPart, place: string): Uint8Array {
  const bytes = Buffer.from(part.bytes ?? '', 'base64')
  if (bytes.length === lengthOf(part) && crc32(bytes) === part.crc32) return bytes
  throw damaged(place)
}

function damaged(place: string): FileSystemError {
  const detail = 'the bytes are not those that were written: the disk has damaged them'
  return new FileSystemError('EIO', 'replay', { path: place, detail })
}

/** The same of a part that lies in a data file. */
export async function readPart(
  file: FileHandle,
  part: KeptPart,
  place: string,
): Promise<Uint8Array> {
  const bytes = Buffer.alloc(part.end - part.start)
  const { bytesRead } = await file.read(bytes, 0, bytes.length, part.start)
  if (bytesRead === bytes.length && crc32(bytes) === part.crc32) return bytes
  throw damaged(place)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
