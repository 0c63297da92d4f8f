import type { Readable, Writable } from 'node:stream'
import type { CallOptions } from '../blob/store.ts'
import { expectCall, expectList } from '../expect-option.ts'
import type { OpenedFile, OpenMode, WholeReadOptions } from './account-content.ts'
import type { AppendFileOptions } from './append-file.ts'
import type { BlobFileEditor, EditOptions } from './blob-file-editor.ts'
import type { BlobFileReader, OpenOptions } from './blob-file-reader.ts'
import type { BlobFileWriter } from './blob-file-writer.ts'
import type { CatFileOptions, CatRangesOptions, RangeRequest } from './cat.ts'
import type { CatOptions } from './cat-paths.ts'
import type { DecodedFileReader } from './decoded-file-reader.ts'
import type { InnerPaths } from './dir-paths.ts'
import { DirTree } from './dir-tree.ts'
import type { EncodedFileWriter } from './encoded-file-writer.ts'
import type { CodingOptions } from './file-coding.ts'
import type { FileInfo } from './file-info.ts'
import type { FileData } from './given-bytes.ts'
import type { PipeOptions, WriteOptions } from './pipe.ts'
import type { BlockOptions } from './read-block.ts'
import type { ReadStreamOptions } from './streams.ts'
import type { Change, UpdateOptions } from './update-file.ts'

/** A range of a file of a directory; see `RangeRequest`. */
export interface InnerRange extends Omit<RangeRequest, 'path'> {
  readonly path: string
}

/** What the files of a directory hold: reading and writing. See `DirFileSystem`. */
export class DirContent extends DirTree {
  async catFile(path: string, options?: CatFileOptions): Promise<Uint8Array> {
    return this.fs.catFile(this.inside(path, 'catFile'), options)
  }

  readBytes(path: string, options?: CatFileOptions): Promise<Uint8Array> {
    return this.catFile(path, options)
  }

  async cat(
    paths: InnerPaths,
    options: CatOptions & { readonly onError: 'return' },
  ): Promise<Map<string, Uint8Array | Error>>
  async cat(
    paths: InnerPaths,
    options?: CatOptions & { readonly onError?: 'raise' | 'omit' | undefined },
  ): Promise<Map<string, Uint8Array>>
  async cat(paths: InnerPaths, options: CatOptions = {}): Promise<Map<string, Uint8Array | Error>> {
    expectCall(options)
    const { onError, ...more } = options
    const names = this.patterns(paths, 'cat')
    const found: ReadonlyMap<string, Uint8Array | Error> =
      onError === 'return'
        ? await this.fs.cat(names, { ...more, onError })
        : await this.fs.cat(names, { ...more, onError })
    return new Map([...found].map(([name, content]) => [this.relative(name), content]))
  }

  async catRanges(
    requests: readonly InnerRange[],
    options: CatRangesOptions & { readonly onError: 'return' },
  ): Promise<(Uint8Array | Error)[]>
  async catRanges(
    requests: readonly InnerRange[],
    options?: CatRangesOptions & { readonly onError?: 'raise' | undefined },
  ): Promise<Uint8Array[]>
  async catRanges(
    requests: readonly InnerRange[],
    options: CatRangesOptions = {},
  ): Promise<(Uint8Array | Error)[]> {
    expectCall(options)
    const { onError, ...more } = options
    expectList('requests', requests, '{ path, start, end }')
    const ranges = requests.map(({ path, ...range }) => {
      return { ...range, path: this.inside(path, 'catRanges') }
    })
    if (onError === 'return') return this.fs.catRanges(ranges, { ...more, onError })
    return this.fs.catRanges(ranges, { ...more, onError })
  }

  async head(path: string, size?: number, options?: WholeReadOptions): Promise<Uint8Array> {
    return this.fs.head(this.inside(path, 'catFile'), size, options)
  }

  async tail(path: string, size?: number, options?: WholeReadOptions): Promise<Uint8Array> {
    return this.fs.tail(this.inside(path, 'catFile'), size, options)
  }

  async readBlock(path: string, options: BlockOptions): Promise<Uint8Array> {
    return this.fs.readBlock(this.inside(path, 'readBlock'), options)
  }

  async readText(path: string, options?: WholeReadOptions): Promise<string> {
    return this.fs.readText(this.inside(path, 'catFile'), options)
  }

  async crc64(path: string, options?: CallOptions): Promise<string> {
    return this.fs.crc64(this.inside(path, 'crc64'), options)
  }

  async writeText(path: string, text: string, options?: PipeOptions): Promise<FileInfo> {
    return this.outside(await this.fs.writeText(this.inside(path, 'pipeFile'), text, options))
  }

  async pipeFile(path: string, data: FileData, options?: PipeOptions): Promise<FileInfo> {
    return this.outside(await this.fs.pipeFile(this.inside(path, 'pipeFile'), data, options))
  }

  writeBytes(path: string, data: FileData, options?: PipeOptions): Promise<FileInfo> {
    return this.pipeFile(path, data, options)
  }

  async pipe(
    files: ReadonlyMap<string, FileData> | Readonly<Record<string, FileData>>,
    options?: PipeOptions,
  ): Promise<FileInfo[]> {
    const given: readonly (readonly [string, FileData])[] =
      files instanceof Map ? [...files] : Object.entries(files)
    const named = given.map(([path, data]) => [this.inside(path, 'pipe'), data] as const)
    return this.all(await this.fs.pipe(new Map(named), options))
  }

  async putIfAbsent(
    path: string,
    data: FileData,
    options?: Omit<PipeOptions, 'mode' | 'ifMatch'>,
  ): Promise<FileInfo | undefined> {
    const info = await this.fs.putIfAbsent(this.inside(path, 'putIfAbsent'), data, options)
    return info && this.outside(info)
  }

  async update(path: string, change: Change, options?: UpdateOptions): Promise<FileInfo> {
    return this.outside(await this.fs.update(this.inside(path, 'update'), change, options))
  }

  async touch(
    path: string,
    options?: CallOptions & { readonly truncate?: boolean },
  ): Promise<FileInfo> {
    return this.outside(await this.fs.touch(this.inside(path, 'touch'), options))
  }

  async open(
    path: string,
    mode: 'r',
    options: OpenOptions & CodingOptions,
  ): Promise<DecodedFileReader>
  async open(
    path: string,
    mode: 'w' | 'x' | 'a',
    options: AppendFileOptions & CodingOptions,
  ): Promise<EncodedFileWriter>
  async open(path: string, mode?: 'r', options?: OpenOptions): Promise<BlobFileReader>
  async open(
    path: string,
    mode: 'w' | 'x' | 'a',
    options?: AppendFileOptions,
  ): Promise<BlobFileWriter>
  async open(path: string, mode: 'r+', options?: EditOptions): Promise<BlobFileEditor>
  async open(
    path: string,
    mode: OpenMode = 'r',
    options: AppendFileOptions & OpenOptions & Partial<CodingOptions> = {},
  ): Promise<OpenedFile> {
    return this.openAs(path, mode, options)
  }

  async openAs(
    path: string,
    mode: OpenMode,
    options?: AppendFileOptions & OpenOptions & Partial<CodingOptions>,
  ): Promise<OpenedFile> {
    return this.fs.openAs(this.inside(path, 'open'), mode, options)
  }

  createReadStream(path: string, options?: ReadStreamOptions): Readable {
    return this.fs.createReadStream(this.inside(path, 'open'), options)
  }

  createWriteStream(
    path: string,
    options?: WriteOptions & { readonly mode?: 'w' | 'x' | undefined },
  ): Writable {
    return this.fs.createWriteStream(this.inside(path, 'open'), options)
  }
}
