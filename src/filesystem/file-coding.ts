import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { demandWord } from './demand-word.ts'

/** How text becomes bytes. Invalid UTF-8 is read as U+FFFD. */
export type FileEncoding = 'utf8' | 'utf16le' | 'latin1'

/** `infer`: by the end of the name, `.gz` for gzip. */
export type Compression = 'gzip' | 'infer' | 'none'

/** How the bytes of a file become those that are read or written. At least one is given. */
export type CodingOptions =
  | { readonly encoding: FileEncoding; readonly compression?: Compression | undefined }
  | { readonly compression: Compression; readonly encoding?: FileEncoding | undefined }

/** What `open` does between a file and its reader or writer. */
export interface Coding {
  readonly encoding: FileEncoding
  readonly isGzip: boolean
}

const encodings: readonly string[] = ['utf8', 'utf16le', 'latin1'] satisfies FileEncoding[]
const compressions: readonly string[] = ['gzip', 'infer', 'none'] satisfies Compression[]
/** What fsspec infers and Node 20 cannot read: compressed bytes must not pass for content. */
const foreignSuffix = /\.(bz2|xz|zst|zip|lzma|lz4|snappy|br)$/i

/** `undefined` when neither is given. `TypeError` for unknown words, `ENOTSUP` for other compressions. */
export function codingOf(
  path: BlobPath,
  { encoding, compression }: Partial<CodingOptions>,
): Coding | undefined {
  if (encoding === undefined && compression === undefined) return undefined
  demandWord('encoding', encoding ?? 'utf8', encodings)
  demandWord('compression', compression ?? 'none', compressions)
  const foreign = compression === 'infer' ? foreignSuffix.exec(path.name) : null
  if (foreign !== null) {
    const detail = `compression: '${foreign[0]}' cannot be read; gzip can, 'none' gives the bytes as they are`
    throw new FileSystemError('ENOTSUP', 'open', { path: formatPath(path), detail })
  }
  const isGzip = compression === 'gzip' || (compression === 'infer' && /\.gz$/i.test(path.name))
  return { encoding: encoding ?? 'utf8', isGzip }
}
