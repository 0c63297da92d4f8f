import { closeSync, fsyncSync, openSync } from 'node:fs'
import type { PGliteOptions } from '@electric-sql/pglite'
import { NodeFS } from '@electric-sql/pglite/nodefs'

type Emscripten = Parameters<NodeFS['init']>

/** Puts what was written to a file on the disk; gets its descriptor. */
export type SyncFile = (descriptor: number) => void

/**
 * How an embedded PostgreSQL is started so that what it has committed is on the disk. By itself
 * PGlite never asks the kernel for that: it is started with `-F`, and its C library drops fsync(2).
 */
export async function syncedOptions(directory: string, sync: SyncFile): Promise<PGliteOptions> {
  const { PGlite } = await import('@electric-sql/pglite')
  return {
    fs: new SyncedFiles(directory, sync),
    startParams: [
      ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
      // Of the ways to write the log through, fsync(2) alone arrives at the file system below.
      ...['-c', 'wal_sync_method=fsync'],
    ],
  }
}

class SyncedFiles extends NodeFS {
  readonly #sync: SyncFile

  constructor(directory: string, sync: SyncFile) {
    super(directory)
    this.#sync = sync
  }

  override async init(database: Emscripten[0], given: Emscripten[1]): ReturnType<NodeFS['init']> {
    const { emscriptenOpts } = await super.init(database, given)
    const { preRun = [] } = emscriptenOpts
    const teach = ({ NODEFS }: { readonly NODEFS: object }): void => teachSync(NODEFS, this.#sync)
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...preRun, teach] } }
  }
}

/** Emscripten's file system of Node's files has a place for fsync(2), and leaves it empty. */
function teachSync(files: object, sync: SyncFile): void {
  const operations: unknown = Reflect.get(files, 'stream_ops')
  const realPath: unknown = Reflect.get(files, 'realPath')
  if (typeof operations !== 'object' || operations === null || typeof realPath !== 'function') {
    throw new TypeError('this version of PGlite keeps its files otherwise')
  }
  const fsync = ({ nfd, node }: { readonly nfd?: number; readonly node: unknown }): number => {
    if (nfd === undefined) syncDirectory(String(Reflect.apply(realPath, files, [node])))
    else sync(nfd)
    return 0
  }
  Reflect.set(operations, 'fsync', fsync)
}

function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
