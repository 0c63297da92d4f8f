import type { Readable, Writable } from 'node:stream'
import type { CallOptions } from '../blob/store.ts'
import { expectCall, expectOptions, expectSignal, expectText, shown } from '../expect-option.ts'
import { AccountTree } from './account-tree.ts'
import { type AppendFileOptions, appendFile } from './append-file.ts'
import { BlobFileEditor, type EditOptions } from './blob-file-editor.ts'
import { BlobFileReader, type OpenOptions } from './blob-file-reader.ts'
import { BlobFileWriter } from './blob-file-writer.ts'
import { type CachePolicy, checkPolicy } from './cache-type.ts'
import {
  type CatFileOptions,
  type CatRangesOptions,
  catFile,
  catRanges,
  type RangeRequest,
} from './cat.ts'
import { type CatOptions, catPaths } from './cat-paths.ts'
import { remoteSum } from './content-sum.ts'
import type { DecodedFileReader } from './decoded-file-reader.ts'
import type { EncodedFileWriter } from './encoded-file-writer.ts'
import { type Coding, type CodingOptions, codingOf } from './file-coding.ts'
import type { FileInfo } from './file-info.ts'
import type { FileData } from './given-bytes.ts'
import type { PathInput } from './location.ts'
import { type PipeOptions, pipeFile, touch, type WriteOptions } from './pipe.ts'
import { pipePaths } from './pipe-paths.ts'
import { type BlockOptions, readBlock } from './read-block.ts'
import { type ReadStreamOptions, readStream, writeStream } from './streams.ts'

/** How a file is opened. */
export type OpenMode = 'r' | 'w' | 'x' | 'a' | 'r+'

/** How bytes are read that come together. */
export type WholeReadOptions = Omit<CatFileOptions, 'start' | 'end'>

/** What {@link AccountContent.open} gives, by mode and options. */
export type OpenedFile =
  | BlobFileReader
  | BlobFileWriter
  | BlobFileEditor
  | DecodedFileReader
  | EncodedFileWriter

/** What the files of an account hold: reading and writing. See `AzureBlobFileSystem`. */
export class AccountContent extends AccountTree {
  /** The bytes `[start, end)`; negative ones count from the end. Absent: the whole file. */
  async catFile(path: PathInput, options: CatFileOptions = {}): Promise<Uint8Array> {
    return await catFile(this.remote, this.filePlace(path, 'catFile'), options)
  }

  /** The same as {@link catFile}. */
  readBytes(path: PathInput, options?: CatFileOptions): Promise<Uint8Array> {
    return this.catFile(path, options)
  }

  /** The contents of many files by name: lists, patterns and (`recursive`) directories. */
  async cat(
    paths: PathInput | readonly PathInput[],
    options: CatOptions & { readonly onError: 'return' },
  ): Promise<Map<string, Uint8Array | Error>>
  async cat(
    paths: PathInput | readonly PathInput[],
    options?: CatOptions & { readonly onError?: 'raise' | 'omit' | undefined },
  ): Promise<Map<string, Uint8Array>>
  async cat(
    paths: PathInput | readonly PathInput[],
    options: CatOptions = {},
  ): Promise<Map<string, Uint8Array | Error>> {
    return catPaths(this.remote, this.names(paths, 'cat', options), options)
  }

  /** Many ranges, in the order asked; near ones of a file share a request. */
  async catRanges(
    requests: readonly RangeRequest[],
    options: CatRangesOptions & { readonly onError: 'return' },
  ): Promise<(Uint8Array | Error)[]>
  async catRanges(
    requests: readonly RangeRequest[],
    options?: CatRangesOptions & { readonly onError?: 'raise' | undefined },
  ): Promise<Uint8Array[]>
  async catRanges(
    requests: readonly RangeRequest[],
    options: CatRangesOptions = {},
  ): Promise<(Uint8Array | Error)[]> {
    expectCall(options)
    return catRanges(this.remote, requests, options)
  }

  /** The first `size` bytes (default 1,024). */
  async head(path: PathInput, size = 1024, options: WholeReadOptions = {}): Promise<Uint8Array> {
    expectCall(options)
    return this.catFile(path, { ...options, end: size })
  }

  /** The last `size` bytes (default 1,024). */
  async tail(path: PathInput, size = 1024, options: WholeReadOptions = {}): Promise<Uint8Array> {
    expectCall(options)
    return size === 0 ? new Uint8Array() : this.catFile(path, { ...options, start: -size })
  }

  /** A range of a file, to whole records when `delimiter` is given; see {@link BlockOptions}. */
  async readBlock(path: PathInput, options: BlockOptions): Promise<Uint8Array> {
    expectOptions(options, '{ offset, length, delimiter }')
    return readBlock(this.remote, this.filePlace(path, 'readBlock', options), options)
  }

  /** The whole file as UTF-8. */
  async readText(path: PathInput, options: WholeReadOptions = {}): Promise<string> {
    return new TextDecoder().decode(await this.catFile(path, options))
  }

  /**
   * The CRC-64 of a file's bytes, in base64 as the service writes it: equal for equal bytes, in every account. What abfs
   * noted when it wrote the file answers; of files of others all bytes are read. `ESTALE` when the file is
   * replaced meanwhile, `EISDIR` for a directory.
   */
  async crc64(path: PathInput, options: CallOptions = {}): Promise<string> {
    return remoteSum(this.remote, this.filePlace(path, 'crc64', options), options)
  }

  /** Makes `text` in UTF-8 the file. */
  async writeText(path: PathInput, text: string, options?: PipeOptions): Promise<FileInfo> {
    return this.pipeFile(path, new TextEncoder().encode(text), options)
  }

  /** Makes `data` the file, at once. `mode: 'create'` fails with `EEXIST` when there is one. */
  async pipeFile(path: PathInput, data: FileData, options: PipeOptions = {}): Promise<FileInfo> {
    return pipeFile(this.remote, this.filePlace(path, 'pipeFile', options), data, options)
  }

  /** The same as {@link pipeFile}. */
  writeBytes(path: PathInput, data: FileData, options?: PipeOptions): Promise<FileInfo> {
    return this.pipeFile(path, data, options)
  }

  /** Makes each of `files`, given by path, a file; each appears whole, in no order. */
  async pipe(
    files: ReadonlyMap<PathInput, FileData> | Readonly<Record<string, FileData>>,
    options: PipeOptions = {},
  ): Promise<FileInfo[]> {
    expectCall(options)
    return pipePaths(this.remote, files, options)
  }

  /** Makes an empty file; with `truncate: false` keeps the bytes of one and only dates it anew. */
  async touch(
    path: PathInput,
    options: CallOptions & { readonly truncate?: boolean } = {},
  ): Promise<FileInfo> {
    return touch(this.remote, this.filePlace(path, 'touch', options), options)
  }

  /**
   * Opens a file: `r` reads the version that it has at this moment, `w` writes it anew, `x` writes
   * it unless it exists (checked here and again at the end, `EEXIST`), `a` writes on at its end, `r+`
   * reads and changes it in place (both `ESTALE` at the end when somebody else wrote it). A writer's bytes
   * become visible when it is closed, and never when it is aborted, disposed of or left; those of an append
   * blob (`appendBlob` makes one in mode `a`) become visible block by block.
   *
   * With `encoding` or `compression` what is read is decoded, and what is written encoded, on its way: from
   * the beginning to the end, without positions; not in `r+`.
   */
  async open(
    path: PathInput,
    mode: 'r',
    options: OpenOptions & CodingOptions,
  ): Promise<DecodedFileReader>
  async open(
    path: PathInput,
    mode: 'w' | 'x' | 'a',
    options: AppendFileOptions & CodingOptions,
  ): Promise<EncodedFileWriter>
  async open(path: PathInput, mode?: 'r', options?: OpenOptions): Promise<BlobFileReader>
  async open(
    path: PathInput,
    mode: 'w' | 'x' | 'a',
    options?: AppendFileOptions,
  ): Promise<BlobFileWriter>
  async open(path: PathInput, mode: 'r+', options?: EditOptions): Promise<BlobFileEditor>
  async open(
    path: PathInput,
    mode: OpenMode = 'r',
    options: AppendFileOptions & OpenOptions & Partial<CodingOptions> = {},
  ): Promise<OpenedFile> {
    return this.openAs(path, mode, options)
  }

  /** {@link open} of a mode that is not known before it runs. */
  async openAs(
    path: PathInput,
    mode: OpenMode,
    options: AppendFileOptions & OpenOptions & Partial<CodingOptions> = {},
  ): Promise<OpenedFile> {
    const place = this.filePlace(path, 'open', options)
    const coding = codingOf(place, options)
    if (mode === 'r') {
      if (coding !== undefined && options.consistency === 'latest') {
        throw new TypeError(
          "consistency: 'latest' mixes versions, which encoding and compression cannot be read from",
        )
      }
      const reader = await BlobFileReader.open(this.remote, place, options)
      return coding === undefined ? reader : decoded(reader, coding)
    }
    if (mode === 'w' || mode === 'x' || mode === 'a') {
      const writer =
        mode === 'a'
          ? await appendFile(this.remote, place, options)
          : await BlobFileWriter.open(this.remote, place, { ...options, exclusive: mode === 'x' })
      return coding === undefined ? writer : encoded(writer, coding)
    }
    if (mode === 'r+' && coding !== undefined) {
      throw new TypeError("mode: 'r+' edits bytes in place, without encoding or compression")
    }
    if (mode === 'r+') return BlobFileEditor.open(this.remote, place, options)
    throw new TypeError(`mode: expected 'r', 'w', 'x', 'a' or 'r+', got ${shown(mode)}`)
  }

  /**
   * Gives a way to fetch open files a name for `cacheType`, in this file system. `Error` for a name that was given
   * before, unless `clobber` is set.
   */
  registerCache(
    name: string,
    policy: CachePolicy,
    options: { readonly clobber?: boolean | undefined } = {},
  ): void {
    const { caches } = this.remote
    expectText('name', name, 'a text')
    if (caches.has(name) && options.clobber !== true) {
      throw new Error(`name: ${JSON.stringify(name)} is taken; set clobber to replace it`)
    }
    caches.set(name, checkPolicy(policy))
  }

  /** A Node stream of the bytes `[start, end)` of one version of a file. */
  createReadStream(path: PathInput, options?: ReadStreamOptions): Readable {
    return readStream(this.remote, this.filePlace(path, 'open'), options)
  }

  /** A Node stream that makes the file when it ends, and nothing when it is destroyed. */
  createWriteStream(
    path: PathInput,
    options: WriteOptions & { readonly mode?: 'w' | 'x' | undefined } = {},
  ): Writable {
    expectSignal(options)
    const exclusive = options.mode === 'x'
    return writeStream(this.remote, this.filePlace(path, 'open'), {
      ...options,
      exclusive,
    })
  }
}

/** Loaded where they are needed: zlib takes some milliseconds of a short command. */
async function decoded(reader: BlobFileReader, coding: Coding): Promise<DecodedFileReader> {
  const { DecodedFileReader } = await import('./decoded-file-reader.ts')
  return new DecodedFileReader(reader, coding)
}

async function encoded(writer: BlobFileWriter, coding: Coding): Promise<EncodedFileWriter> {
  const { EncodedFileWriter } = await import('./encoded-file-writer.ts')
  return new EncodedFileWriter(writer, coding)
}
