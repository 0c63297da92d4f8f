import { MiB } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { GetOptions, Metadata, PutOptions } from './store.ts'

/** The longest body of one Put Blob, and of one get without a range, here; bytes. */
export const maxBlobPutBytes: number = 256 * MiB
/** The longest block; Azure's limit since service version 2019-12-12. */
export const maxBlockBytes: number = 4000 * MiB
/** How many blocks one blob is made of at most; Azure's limit. */
export const maxBlocks = 50_000
/** Entries of one listing page; Azure's limit. */
export const maxListResults = 5_000
/** Names and values of one blob's metadata together; Azure's limit, bytes. */
export const maxMetadataBytes = 8192

/**
 * Refuses what no URL can address: `EINVAL` for an empty name, a `.` or `..` segment (URL parsers
 * resolve them, so another blob would be touched), NUL and lone surrogates; `ENAMETOOLONG` past
 * 1,024 characters; and a container that {@link checkContainer} refuses.
 */
export function checkBlobPath(path: BlobPath, syscall: string): void {
  checkContainer(path.container, syscall)
  const fault = path.name === '' ? 'a blob needs a name' : nameFault(path.name)
  if (fault !== undefined) {
    throw new FileSystemError('EINVAL', syscall, { path: formatPath(path), detail: fault })
  }
  if (path.name.length > 1024) {
    throw new FileSystemError('ENAMETOOLONG', syscall, {
      path: formatPath(path),
      detail: `blob names have at most 1,024 characters; this one has ${path.name.length}`,
    })
  }
}

/** `EINVAL` for a name that Azure refuses for containers. `$root`, `$web` and `$logs` pass. */
export function checkContainer(container: string, syscall: string): void {
  if (containerPattern.test(container) || container.startsWith('$')) return
  throw new FileSystemError('EINVAL', syscall, {
    path: `abfs://${container}`,
    detail:
      'container names are 3 to 63 lower-case letters, digits and single hyphens, ' +
      'beginning and ending with a letter or digit',
  })
}

/**
 * `EINVAL` for metadata that would not come back as it went: keys that are not lower-case
 * identifiers (HTTP headers lose case), values that are empty, not printable ASCII, or begin or end
 * with a space (HTTP trims them), more than 8 KiB together.
 */
export function checkMetadata(metadata: Metadata, path: BlobPath, syscall: string): void {
  let bytes = 0
  for (const [key, value] of Object.entries(metadata)) {
    bytes += key.length + value.length
    if (keyPattern.test(key) && valuePattern.test(value)) continue
    throw new FileSystemError('EINVAL', syscall, {
      path: formatPath(path),
      serviceCode: 'InvalidMetadata',
      detail:
        `metadata ${JSON.stringify(key)} cannot be stored: keys are lower-case identifiers, values ` +
        'non-empty printable ASCII without outer spaces (encode others)',
    })
  }
  if (bytes > maxMetadataBytes) {
    throw new FileSystemError('EINVAL', syscall, {
      path: formatPath(path),
      serviceCode: 'MetadataTooLarge',
      detail: `metadata holds at most ${maxMetadataBytes} bytes; this is ${bytes}`,
    })
  }
}

/** `EFBIG` when `sizeBytes` is more than one request may carry. */
export function checkBodySize(
  sizeBytes: number,
  limitBytes: number,
  subject: { readonly path: BlobPath; readonly syscall: string },
): void {
  if (sizeBytes <= limitBytes) return
  throw new FileSystemError('EFBIG', subject.syscall, {
    path: formatPath(subject.path),
    detail: `${sizeBytes} bytes is over the ${limitBytes} of one request; use blocks or ranges`,
  })
}

/** `EINVAL` for a block id that is not base64 of at most 64 bytes, and for an empty block. */
export function checkBlock(
  blockId: string,
  data: Uint8Array,
  subject: { readonly path: BlobPath; readonly syscall: string },
): void {
  checkBodySize(data.length, maxBlockBytes, subject)
  const bytes = Buffer.from(blockId, 'base64')
  const isId = bytes.length > 0 && bytes.length <= 64 && bytes.toString('base64') === blockId
  if (isId && data.length > 0) return
  throw new FileSystemError('EINVAL', subject.syscall, {
    path: formatPath(subject.path),
    detail: isId
      ? 'a block must not be empty'
      : `a block id must be base64 of 1 to 64 bytes, not ${JSON.stringify(blockId)}`,
  })
}

/** `EFBIG` when more blocks are to be committed than a blob may have. */
export function checkBlockCount(count: number, path: BlobPath): void {
  if (count <= maxBlocks) return
  throw new FileSystemError('EFBIG', 'blob.commitBlocks', {
    path: formatPath(path),
    detail: `a blob has at most ${maxBlocks} blocks, not ${count}; use larger blocks`,
  })
}

/** A `RangeError` when the range is not one, or `into` is too short for it. */
/** Bytes of one append. */
export const maxAppendBytes: number = 100 * MiB

/** `RangeError` for what cannot be one append. */
export function checkAppend(data: Uint8Array, position: number): void {
  if (data.length < 1 || data.length > maxAppendBytes) {
    throw new RangeError(`data: expected 1 to ${maxAppendBytes} bytes, got ${data.length}`)
  }
  if (!Number.isSafeInteger(position) || position < 0) {
    throw new RangeError(`position: expected bytes, 0 or more, got ${position}`)
  }
}

/** As `checkBlobPath`, with the metadata that is to be written. */
export function checkWrite(
  path: BlobPath,
  { metadata }: Pick<PutOptions, 'metadata'>,
  syscall: string,
): void {
  checkBlobPath(path, syscall)
  if (metadata !== undefined) checkMetadata(metadata, path, syscall)
}

export function checkGetOptions(options: GetOptions): void {
  const { range, into, sink } = options
  if (sink !== undefined && (range === undefined || into !== undefined)) {
    throw new TypeError('sink needs a range and excludes into')
  }
  if (range === undefined) return
  if (!Number.isSafeInteger(range.start) || !Number.isSafeInteger(range.end)) {
    throw new RangeError(`range must have integer ends, not [${range.start}, ${range.end})`)
  }
  if (range.start < 0 || range.end < range.start) {
    throw new RangeError(`range must be 0 <= start <= end, not [${range.start}, ${range.end})`)
  }
  if (into !== undefined && into.length < range.end - range.start) {
    throw new RangeError(
      `into must be at least as long as the range: ${into.length} < ${range.end - range.start}`,
    )
  }
}

const containerPattern = /^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/
const keyPattern = /^[a-z_][a-z0-9_]*$/
const valuePattern = /^[!-~](?:[ -~]*[!-~])?$/
const dotSegmentPattern = /(?:^|\/)\.{1,2}(?:\/|$)/

function nameFault(name: string): string | undefined {
  if (dotSegmentPattern.test(name)) return 'a name cannot have "." or ".." as a segment'
  if (name.includes('\0')) return 'a name cannot hold a NUL character'
  if (!isWellFormed(name)) return 'a name must be valid Unicode (a surrogate stands alone)'
  return undefined
}

function isWellFormed(text: string): boolean {
  return !/\p{Surrogate}/u.test(text)
}
