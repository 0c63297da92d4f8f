import { constants } from 'node:fs'
import { errnoOf, FileSystemError } from '../../errors.ts'
import { type FaultEvent, faultChannel } from '../../telemetry.ts'
import {
  type AttributeChanges,
  type Attributes,
  type CallContext,
  type FileOperations,
  rootIno,
  toHandleId,
} from '../../vfs/operations.ts'
import type { Answer, Handlers } from './binding.ts'
import { Paths } from './paths.ts'

type Values = readonly unknown[]
/** Makes one call; gives what the answer has after its code, or a count alone. */
type Work = (...values: never[]) => Promise<number | Values>

/** `operations` as fuse-native calls them: by path, and with callbacks. */
export function makeHandlers(operations: FileOperations, context: CallContext): Handlers {
  const paths = new Paths(operations, context)
  const calls = {
    ...nameCalls(operations, context, paths),
    ...attributeCalls(operations, context, paths),
    ...fileCalls(operations, context, paths),
    ...directoryCalls(operations, context, paths),
  }
  return Object.fromEntries(
    Object.entries(calls).map(([name, work]) => [name, answering(name, work as Work)]),
  )
}

function nameCalls(operations: FileOperations, context: CallContext, paths: Paths) {
  const keep = async (entry: Promise<{ readonly attributes: Attributes }>): Promise<Values> => {
    operations.forget((await entry).attributes.ino, 1)
    return []
  }
  return {
    mkdir: (path: string, mode: number) =>
      paths.in(path, (parent, name) =>
        keep(operations.mkdir(parent, name, mode & 0o7777, context)),
      ),
    symlink: (target: string, path: string) =>
      paths.in(path, (parent, name) => keep(operations.symlink(parent, name, target, context))),
    mknod: (path: string, mode: number, rdev: number) =>
      paths.in(path, (parent, name) => {
        if (operations.mknod === undefined) throw new FileSystemError('EPERM', 'mknod')
        return keep(operations.mknod(parent, name, { mode, rdev }, context))
      }),
    unlink: (path: string) =>
      paths.in(path, (parent, name) => operations.unlink(parent, name, context).then(nothing)),
    rmdir: (path: string) =>
      paths.in(path, (parent, name) => operations.rmdir(parent, name, context).then(nothing)),
    rename: (from: string, to: string) =>
      paths.in(from, (parent, name) =>
        paths.in(to, (newParent, newName) => {
          const target = { parent: newParent, name: newName, noReplace: false, exchange: false }
          return operations.rename(parent, name, target, context).then(nothing)
        }),
      ),
    link: async (): Promise<Values> => {
      throw new FileSystemError('EPERM', 'link')
    },
    readlink: (path: string) =>
      paths.at(path, async ({ ino }) => [await operations.readlink(ino, context)]),
  }
}

function attributeCalls(operations: FileOperations, context: CallContext, paths: Paths) {
  const change = (path: string, changes: AttributeChanges): Promise<Values> =>
    paths.at(path, ({ ino }) => operations.setattr(ino, changes, context).then(nothing))
  const attributesOf = (path: string): Promise<Values> =>
    paths.at(path, async ({ ino, attributes }) => [
      statOf(attributes ?? (await operations.getattr(ino, undefined, context))),
    ])
  return {
    getattr: attributesOf,
    fgetattr: attributesOf,
    truncate: (path: string, sizeBytes: number) => change(path, { sizeBytes }),
    ftruncate: (path: string, _handle: number, sizeBytes: number) => change(path, { sizeBytes }),
    chmod: (path: string, mode: number) => change(path, { mode: mode & 0o7777 }),
    chown: (path: string, uid: number, gid: number) =>
      change(path, { uid: ownerOf(uid), gid: ownerOf(gid) }),
    // The times that arrive are wrong (see limits.ts): a false one would be worse than none.
    utimens: async (): Promise<Values> => [],
    statfs: async (): Promise<Values> => {
      const { blockBytes, totalBlocks, freeBlocks, availableBlocks, maxNameBytes, ...files } =
        await operations.statfs(rootIno, context)
      const blocks = { blocks: totalBlocks, bfree: freeBlocks, bavail: availableBlocks }
      const counts = { files: files.totalFiles, ffree: files.freeFiles, favail: files.freeFiles }
      return [
        { bsize: blockBytes, frsize: blockBytes, ...blocks, ...counts, namemax: maxNameBytes },
      ]
    },
  }
}

function fileCalls(operations: FileOperations, context: CallContext, paths: Paths) {
  return {
    open: (path: string, flags: number) =>
      paths.at(path, async ({ ino }) => [(await operations.open(ino, flags, context)).handle]),
    create: (path: string, mode: number) =>
      paths.in(path, async (parent, name) => {
        // The flags do not arrive; whoever creates may read and write.
        const options = { mode: mode & 0o7777, flags: constants.O_RDWR }
        const { entry, file } = await operations.create(parent, name, options, context)
        operations.forget(entry.attributes.ino, 1)
        return [file.handle]
      }),
    read: async (...[, handle, into, length, start]: Transfer) => {
      const range = { start, end: start + length }
      const parts = await operations.read(toHandleId(handle), range, context)
      let count = 0
      for (const part of parts) {
        into.set(part, count)
        count += part.byteLength
      }
      return count
    },
    write: (...[, handle, from, length, start]: Transfer) =>
      operations.write(toHandleId(handle), start, from.subarray(0, length), context),
    flush: (_path: string, handle: number) =>
      operations.flush(toHandleId(handle), context).then(nothing),
    fsync: (_path: string, dataOnly: boolean, handle: number) =>
      operations.fsync(toHandleId(handle), Boolean(dataOnly), context).then(nothing),
    release: (_path: string, handle: number) =>
      operations.release(toHandleId(handle), context).then(nothing),
  }
}

function directoryCalls(operations: FileOperations, context: CallContext, paths: Paths) {
  return {
    // Without opendir and releasedir: an open directory would have to be kept by its path.
    readdir: (path: string) =>
      paths.at(path, async ({ ino }) => {
        const { handle } = await operations.opendir(ino, context)
        try {
          const entries = [...(await operations.readdir(handle, 0, context))]
          return [entries.map(({ name }) => name).filter((name) => name !== '.' && name !== '..')]
        } finally {
          await operations.releasedir(handle, context)
        }
      }),
    getxattr: (path: string, name: string) =>
      paths.at(path, async ({ ino }) => [await operations.getxattr?.(ino, name, context)]),
    listxattr: (path: string) =>
      paths.at(path, async ({ ino }) => [(await operations.listxattr?.(ino, context)) ?? []]),
  }
}

type Transfer = readonly [
  path: string,
  handle: number,
  buffer: Buffer,
  length: number,
  start: number,
]

/** Lets a call answer by callback, which comes last, once and whatever happens. */
function answering(name: string, work: Work): (...values: never[]) => void {
  return (...values: never[]) => {
    const answer = values.pop() as unknown as Answer
    Promise.resolve()
      .then(() => work(...values))
      .then(
        (result) => (typeof result === 'number' ? answer(result) : answer(0, ...result)),
        (error: unknown) => answer(-codeOf(name, error)),
      )
  }
}

function codeOf(name: string, error: unknown): number {
  if (error instanceof FileSystemError) return errnoOf(error.code)
  const fault = error instanceof Error ? error : new Error(String(error), { cause: error })
  faultChannel.publish({
    operation: `fuse-native.${name}`,
    path: '',
    error: fault,
  } satisfies FaultEvent)
  return errnoOf('EIO')
}

function nothing(): Values {
  return []
}

/** 2³² − 1 leaves an owner as it is. */
function ownerOf(id: number): number | undefined {
  return id === 0xffffffff || id === -1 ? undefined : id
}

function statOf(attributes: Attributes): Readonly<Record<string, number | Date>> {
  const { sizeBytes, blockBytes, atimeNs, mtimeNs, ctimeNs, ino, ...same } = attributes
  return {
    mode: same.mode,
    nlink: same.nlink,
    uid: same.uid,
    gid: same.gid,
    rdev: same.rdev,
    ino,
    size: sizeBytes,
    blocks: Math.ceil(sizeBytes / 512),
    blksize: blockBytes,
    atime: dateOf(atimeNs),
    mtime: dateOf(mtimeNs),
    ctime: dateOf(ctimeNs),
  }
}

function dateOf(ns: bigint): Date {
  return new Date(Number(ns / 1_000_000n))
}
