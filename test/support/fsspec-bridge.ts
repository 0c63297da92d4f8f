import { Buffer } from 'node:buffer'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { isFileSystemError } from '../../src/errors.ts'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { BlobFileReader } from '../../src/filesystem/blob-file-reader.ts'
import type { BlobFileWriter } from '../../src/filesystem/blob-file-writer.ts'
import type { FileInfo } from '../../src/filesystem/file-info.ts'
import { collect } from '../../src/filesystem/walk.ts'

// The side of the bridge that has the file system: takes one call a line, answers one line. It
// changes the shape of arguments and results (names instead of entries, a dictionary instead of a
// list), never which they are.

type Arguments = readonly unknown[]
type Call = (fs: AzureBlobFileSystem, ...args: never[]) => unknown

/** What the other side sent, by the names that TypeScript has for them. */
interface Options {
  readonly detail?: boolean
  readonly total?: boolean
  readonly mode?: string
  readonly recursive?: boolean
  readonly maxDepth?: number
}

type Paths = string | readonly string[]

const calls: Readonly<Record<string, Call>> = {
  ls: async (fs, path: string, o: Options) => asList(await fs.ls(path), o),
  info: async (fs, path: string) => dictionary(await fs.info(path)),
  exists: (fs, path: string) => fs.exists(path),
  isDir: (fs, path: string) => fs.isDir(path),
  isFile: (fs, path: string) => fs.isFile(path),
  find: async (fs, path: string, o: Options) => asMap(await fs.find(path, o), o),
  glob: async (fs, path: string, o: Options) => asMap(await fs.glob(path, o), o),
  expandPath: async (fs, path: Paths, o: Options) => names(await fs.expandPath(path, o)),
  walk: async (fs, path: string, o: Options) =>
    (await collect(fs.walk(path, o))).map((step) => [
      step.path,
      asMap(step.dirs, o, baseName),
      asMap(step.files, o, baseName),
    ]),
  du: async (fs, path: string, o: Options) =>
    o.total === false ? Object.fromEntries(await fs.diskUsage(path, o)) : fs.du(path, o),
  cat: async (fs, path: Paths, o: Options) => {
    const found = await fs.cat(path, { ...o, onError: 'return' })
    const [[name, content] = []] = found
    const plain = typeof path === 'string' && found.size === 1 && name === path
    return plain ? content : Object.fromEntries(found)
  },
  catFile: (fs, path: string, o: object) => fs.catFile(path, o),
  catRanges: (fs, paths: string[], starts: number[], ends: number[], o: object) =>
    fs.catRanges(
      paths.map((path, index) => ({ path, start: starts[index], end: ends[index] })),
      o,
    ),
  pipeFile: (fs, path: string, data: Uint8Array, o: { mode: 'create' | 'overwrite' }) =>
    fs.pipeFile(path, data, o),
  pipe: (fs, files: Record<string, Uint8Array>) => fs.pipe(files),
  touch: (fs, path: string, o: object) => fs.touch(path, o),
  mkdir: (fs, path: string, o: object) => fs.mkdir(path, o),
  makedirs: (fs, path: string, o: object) => fs.makedirs(path, o),
  rmdir: (fs, path: string) => fs.rmdir(path),
  rm: (fs, path: Paths, o: Options) => fs.rm(path, o),
  rmFile: (fs, path: string) => fs.rmFile(path),
  cpFile: (fs, from: string, to: string) => fs.cpFile(from, to),
  copy: (fs, from: Paths, to: Paths, o: Options) => fs.copy(from, to, o),
  get: (fs, from: Paths, to: Paths, o: Options) => fs.get(from, to, o),
  getFile: (fs, from: string, to: string) => fs.getFile(from, to),
  put: (fs, from: Paths, to: Paths, o: Options) => fs.put(from, to, o),
  putFile: (fs, from: string, to: string) => fs.putFile(from, to),
  mv: (fs, from: string, to: string) => fs.mv(from, to),
}

/** Calls with no result tell nothing, so that nothing unneeded crosses. */
const silent = new Set(['pipeFile', 'pipe', 'touch', 'copy', 'get', 'put', 'putFile', 'cpFile'])

/** Answers calls on `channel` until it ends. */
export async function serveFsspec(fs: AzureBlobFileSystem, channel: Duplex): Promise<void> {
  const handles = new Handles(fs)
  for await (const line of createInterface({ input: channel })) {
    const { method, arguments: args } = parse(line)
    const answer = await settle(() => dispatch(fs, handles, { method, args }))
    channel.write(`${JSON.stringify(answer)}\n`)
  }
}

async function dispatch(
  fs: AzureBlobFileSystem,
  handles: Handles,
  { method, args }: { readonly method: string; readonly args: Arguments },
): Promise<unknown> {
  if (method === 'open' || method.startsWith('handle.')) return handles.call(method, args)
  const call = calls[method]
  if (call === undefined) throw new TypeError(`method: the bridge has no ${method}`)
  const value = await call(fs, ...(args as never[]))
  return silent.has(method) ? undefined : value
}

/** Open files by number. */
class Handles {
  readonly #fs: AzureBlobFileSystem
  readonly #open = new Map<number, BlobFileReader | BlobFileWriter>()
  #next = 1

  constructor(fs: AzureBlobFileSystem) {
    this.#fs = fs
  }

  async call(method: string, [first, second]: Arguments): Promise<unknown> {
    if (method === 'open') return this.#add(String(first), (second as Options).mode ?? 'r')
    const file = this.#open.get(Number(first))
    if (file === undefined) throw new TypeError(`handle: ${String(first)} is not open`)
    if (method === 'handle.close') return this.#close(Number(first), () => file.close())
    if ('read' in file) {
      return method === 'handle.readAll' ? file.readAll() : file.read(Number(second))
    }
    if (method === 'handle.abort') return this.#close(Number(first), () => file.abort())
    return file.write(second as Uint8Array)
  }

  async #add(path: string, mode: string): Promise<number> {
    const file =
      mode === 'r'
        ? await this.#fs.open(path, 'r')
        : await this.#fs.open(path, mode as 'w' | 'x', {})
    this.#open.set(this.#next, file)
    this.#next += 1
    return this.#next - 1
  }

  async #close(handle: number, end: () => Promise<unknown>): Promise<void> {
    this.#open.delete(handle)
    await end()
  }
}

async function settle(work: () => Promise<unknown>): Promise<object> {
  try {
    return { value: encode(await work()) }
  } catch (error) {
    return { error: encodeError(error) }
  }
}

function encode(value: unknown): unknown {
  if (value instanceof Uint8Array) return { $bytes: Buffer.from(value).toString('base64') }
  if (value instanceof Error) return { $error: encodeError(value) }
  if (Array.isArray(value)) return value.map(encode)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item)]))
}

function encodeError(error: unknown): { readonly code: string | null; readonly message: string } {
  const message = error instanceof Error ? error.message : String(error)
  return { code: isFileSystemError(error) ? error.code : null, message }
}

function parse(line: string): { readonly method: string; readonly arguments: Arguments } {
  return JSON.parse(line, (_key, value) =>
    typeof value?.$bytes === 'string' ? new Uint8Array(Buffer.from(value.$bytes, 'base64')) : value,
  )
}

function dictionary({ name, type, size, etag }: FileInfo) {
  return { name, type, size, ...(etag === undefined ? {} : { etag }) }
}

function names(entries: readonly FileInfo[]): string[] {
  return entries.map(({ name }) => name)
}

function asList(entries: readonly FileInfo[], { detail }: Options): unknown {
  return detail === false ? names(entries) : entries.map(dictionary)
}

function asMap(
  entries: readonly FileInfo[],
  { detail }: Options,
  key: (entry: FileInfo) => string = ({ name }) => name,
): unknown {
  if (detail !== true) return entries.map(key)
  return Object.fromEntries(entries.map((entry) => [key(entry), dictionary(entry)]))
}

function baseName({ name }: FileInfo): string {
  return name.slice(name.lastIndexOf('/') + 1)
}
