import { constants as fsConstants } from 'node:fs'
import { constants, release } from 'node:os'
import { FileSystemError } from '../errors.ts'
import type { CallContext, FileOperations, HandleId, Ino, InodeEntry } from '../vfs/operations.ts'
import type { NamesChannel, SettledInode } from './channel.ts'
import { offerNames, settle } from './offer-names.ts'
import type { OpenModes } from './open-modes.ts'
import {
  absentReply,
  attributesReply,
  createReply,
  dataReply,
  directoryReply,
  entryReply,
  lseekReply,
  type Message,
  openReply,
  statfsReply,
  statusReply,
  writeReply,
  xattrReply,
} from './reply.ts'
import type { FuseRequest } from './request.ts'

/** A call of the operations, and the number that its reply carries. */
export interface Exchange {
  readonly operations: FileOperations
  readonly context: CallContext
  readonly unique: bigint
  /** `undefined` where every read is asked for. */
  readonly modes?: OpenModes | undefined
  /** `undefined` where every name is asked for. */
  readonly names?: NamesChannel | undefined
  /** Takes the inodes of the reply that nobody is writing here, in its order. */
  readonly settled: SettledInode[]
  /** Takes the directories in which a name came or went: the kernel has forgotten what it knew of them. */
  readonly touched: Ino[]
  /** Takes directories whose names may be known now. */
  readonly listed: Ino[]
  /** Takes open files that have nothing to store. */
  readonly idle: HandleId[]
  /**
   * Takes what undoes the call where its reply reaches nobody: lookups that the kernel does not
   * know of, handles that it will not release.
   */
  readonly whenUnheard: (undo: () => unknown) => void
}

type RequestOf<Kind extends FuseRequest['kind']> = Extract<FuseRequest, { readonly kind: Kind }>

/** The requests that the session answers by itself. */
export type OwnRequest = RequestOf<'init' | 'forget' | 'interrupt' | 'destroy'>

/** The requests that the operations answer. */
export type OperationRequest = Exclude<FuseRequest, OwnRequest>

/** Makes the call that `request` asks for and gives the reply. Rejects as the operation does. */
export async function answer(exchange: Exchange, request: OperationRequest): Promise<Message> {
  switch (request.kind) {
    case 'getattr':
    case 'setattr':
    case 'readlink':
    case 'open':
    case 'opendir':
    case 'statfs':
    case 'getxattr':
    case 'listxattr':
    case 'setxattr':
    case 'removexattr':
      return answerInode(exchange, request)
    case 'lookup':
    case 'symlink':
    case 'mknod':
    case 'mkdir':
    case 'create':
      return answerName(exchange, request)
    case 'unlink':
    case 'rmdir':
    case 'rename':
    case 'link':
    case 'unknown':
      return answerStatus(exchange, request)
    default:
      return answerHandle(exchange, request)
  }
}

type InodeRequest = RequestOf<
  | 'getattr'
  | 'setattr'
  | 'readlink'
  | 'open'
  | 'opendir'
  | 'statfs'
  | 'getxattr'
  | 'listxattr'
  | 'setxattr'
  | 'removexattr'
>

async function answerInode(exchange: Exchange, request: InodeRequest): Promise<Message> {
  const { operations, context, unique } = exchange
  const { ino } = request
  switch (request.kind) {
    case 'getattr': {
      const attributes = await operations.getattr(ino, request.handle, context)
      settle(exchange, attributes)
      return attributesReply(unique, attributes)
    }
    case 'setattr':
      if (request.changes.sizeBytes !== undefined) exchange.modes?.changes(ino)
      return attributesReply(unique, await operations.setattr(ino, request.changes, context))
    case 'readlink':
      return dataReply(unique, [Buffer.from(await operations.readlink(ino, context))])
    case 'open': {
      return answerOpen(exchange, request)
    }
    case 'opendir': {
      const opened = await operations.opendir(ino, context)
      exchange.whenUnheard(() => operations.releasedir(opened.handle, context))
      if (opened.keepCache !== true) await offerNames(exchange, opened)
      return openReply(unique, namesMayStay ? opened : { handle: opened.handle })
    }
    case 'statfs':
      return statfsReply(unique, await operations.statfs(ino, context))
    case 'getxattr':
      return answerGetxattr(exchange, request)
    case 'listxattr':
      return answerListxattr(exchange, request)
    case 'setxattr':
    case 'removexattr':
      return answerXattrChange(exchange, request)
  }
}

async function answerOpen(exchange: Exchange, request: RequestOf<'open'>): Promise<Message> {
  const { operations, context, unique, modes } = exchange
  const { ino, flags } = request
  const noFlush = onlyReads(flags)
  if (!noFlush) modes?.changes(ino)
  const found = await operations.open(ino, flags, context)
  exchange.whenUnheard(() => {
    modes?.released(found.handle)
    return operations.release(found.handle, context)
  })
  const opened = (await modes?.settle(ino, found)) ?? found
  const mode = modes?.opened(ino, opened)
  if (noFlush) exchange.idle.push(opened.handle)
  if (mode?.kind !== 'passthrough') return openReply(unique, { ...opened, noFlush })
  // The kernel takes no word on its page cache with a backing file.
  return openReply(unique, { handle: opened.handle, noFlush, backing: mode.backing })
}

/** Linux 6.9 to 6.12 may show a cached list of names that has holes. */
const namesMayStay: boolean = !/^6\.(9|10|11|12)(\D|$)/.test(release())

/** What has nothing to store has nothing that could fail when it is closed. */
function onlyReads(flags: number): boolean {
  const { O_WRONLY, O_RDWR, O_TRUNC } = fsConstants
  return (flags & (O_WRONLY | O_RDWR | O_TRUNC)) === 0
}

async function answerName(
  exchange: Exchange,
  request: RequestOf<'lookup' | 'symlink' | 'mknod' | 'mkdir' | 'create'>,
): Promise<Message> {
  const { operations, context, unique } = exchange
  const { parent, name } = request
  switch (request.kind) {
    case 'lookup': {
      const found = await operations.lookup(parent, name, context)
      if (found.kind === 'absent') {
        exchange.listed.push(parent)
        return absentReply(unique, found.entryTtlMs)
      }
      settle(exchange, found.attributes)
      return answerEntry(exchange, found)
    }
    case 'symlink':
      return answerMade(exchange, parent, operations.symlink(parent, name, request.target, context))
    case 'mknod':
      if (operations.mknod === undefined) throw new FileSystemError('EPERM', 'mknod')
      return answerMade(exchange, parent, operations.mknod(parent, name, request.node, context))
    case 'mkdir':
      return answerMade(exchange, parent, operations.mkdir(parent, name, request.mode, context))
    case 'create': {
      const created = await operations.create(parent, name, request.options, context)
      exchange.whenUnheard(() => operations.release(created.file.handle, context))
      forgetUnheard(exchange, created.entry)
      exchange.touched.push(parent)
      return createReply(unique, created)
    }
  }
}

async function answerMade(
  exchange: Exchange,
  parent: Ino,
  made: Promise<InodeEntry>,
): Promise<Message> {
  const entry = await made
  exchange.touched.push(parent)
  exchange.listed.push(entry.attributes.ino)
  return answerEntry(exchange, entry)
}

function answerEntry(exchange: Exchange, entry: InodeEntry): Message {
  forgetUnheard(exchange, entry)
  return entryReply(exchange.unique, entry)
}

function forgetUnheard({ operations, whenUnheard }: Exchange, entry: InodeEntry): void {
  whenUnheard(() => operations.forget(entry.attributes.ino, 1))
}

async function answerStatus(
  exchange: Exchange,
  request: FuseRequest & { readonly kind: 'unlink' | 'rmdir' | 'rename' | 'link' | 'unknown' },
): Promise<Message> {
  const { operations, context, unique } = exchange
  switch (request.kind) {
    case 'unlink':
      await operations.unlink(request.parent, request.name, context)
      exchange.touched.push(request.parent)
      break
    case 'rmdir':
      await operations.rmdir(request.parent, request.name, context)
      exchange.touched.push(request.parent)
      break
    case 'rename':
      await operations.rename(request.parent, request.name, request.target, context)
      exchange.touched.push(request.parent, request.target.parent)
      break
    case 'link':
      // What link(2) says of a file system without hard links.
      return statusReply(unique, constants.errno.EPERM)
    case 'unknown':
      // The kernel takes ENOSYS to heart: it does not ask again and falls back where it can.
      return statusReply(unique, constants.errno.ENOSYS)
  }
  return statusReply(unique)
}

type HandleRequest = Exclude<
  OperationRequest,
  InodeRequest | { kind: 'lookup' | 'symlink' | 'mknod' | 'mkdir' | 'create' } | StatusRequest
>
type StatusRequest = Parameters<typeof answerStatus>[1]

async function answerHandle(exchange: Exchange, request: HandleRequest): Promise<Message> {
  const { operations, context, unique } = exchange
  const { handle } = request
  switch (request.kind) {
    case 'read':
      return answerRead(exchange, request)
    case 'write': {
      const taken = await operations.write(handle, request.offsetBytes, request.data, context)
      return writeReply(unique, taken)
    }
    case 'readdir': {
      const entries = await operations.readdir(handle, request.offset, context)
      const { maxBytes, plus } = request
      const onLookup = (entry: InodeEntry): void => {
        forgetUnheard(exchange, entry)
        settle(exchange, entry.attributes)
      }
      return directoryReply(unique, entries, { maxBytes, plus, onLookup })
    }
    case 'lseek':
      return answerLseek(exchange, request)
    case 'copyRange': {
      if (operations.copyRange === undefined) return statusReply(unique, constants.errno.ENOSYS)
      const { range, target } = request
      return writeReply(unique, await operations.copyRange(handle, range, target, context))
    }
    case 'fallocate':
      if (operations.fallocate === undefined || request.allocation === undefined) {
        return statusReply(unique, constants.errno.EOPNOTSUPP)
      }
      await operations.fallocate(handle, request.allocation, context)
      break
    case 'flock': {
      const { ino, request: lock } = request
      if (operations.flock === undefined) return statusReply(unique, constants.errno.ENOSYS)
      // Who has locked a file reads what others have stored before.
      if (lock.kind !== 'none') exchange.modes?.changes(ino)
      await operations.flock(handle, lock, context)
      exchange.whenUnheard(() => operations.flock?.(handle, unlocked, context))
      break
    }
    case 'flush':
      await operations.flush(handle, context)
      if (operations.isStored?.(handle) === true) exchange.idle.push(handle)
      break
    case 'release':
      exchange.modes?.released(handle)
      await operations.release(handle, context)
      break
    case 'fsync':
      await operations.fsync(handle, request.dataOnly, context)
      break
    case 'releasedir':
      await operations.releasedir(handle, context)
      break
    case 'fsyncdir':
      await operations.fsyncdir?.(handle, context)
      break
  }
  return statusReply(unique)
}

async function answerRead(exchange: Exchange, request: RequestOf<'read'>): Promise<Message> {
  const { operations, context, unique } = exchange
  const parts = await operations.read(request.handle, request.range, context)
  const sizeBytes = parts.reduce((sum, part) => sum + part.length, 0)
  const maxBytes = request.range.end - request.range.start
  if (sizeBytes > maxBytes) {
    throw new RangeError(`read gave ${sizeBytes} bytes where ${maxBytes} were asked for`)
  }
  // One part more is the head.
  return dataReply(unique, parts.length < maxParts ? parts : [Buffer.concat(parts)])
}

async function answerGetxattr(
  exchange: Exchange,
  request: RequestOf<'getxattr'>,
): Promise<Message> {
  const { operations, context, unique } = exchange
  if (operations.getxattr === undefined) return statusReply(unique, constants.errno.ENOSYS)
  const value = await operations.getxattr(request.ino, request.name, context)
  return value === undefined
    ? statusReply(unique, constants.errno.ENODATA)
    : xattrReply(unique, value, request.maxBytes)
}

async function answerXattrChange(
  { operations, context, unique }: Exchange,
  request: RequestOf<'setxattr' | 'removexattr'>,
): Promise<Message> {
  const { setxattr, removexattr } = operations
  if (setxattr === undefined || removexattr === undefined) {
    return statusReply(unique, constants.errno.ENOSYS)
  }
  const { ino, name } = request
  const found =
    request.kind === 'setxattr'
      ? await operations.setxattr?.(ino, name, request.change, context)
      : await operations.removexattr?.(ino, name, context)
  return statusReply(unique, found === false ? constants.errno.ENODATA : 0)
}

async function answerLseek(
  { operations, context, unique }: Exchange,
  { handle, offset, what }: RequestOf<'lseek'>,
): Promise<Message> {
  if (operations.seek === undefined) return statusReply(unique, constants.errno.ENOSYS)
  if (what === undefined) return statusReply(unique, constants.errno.EINVAL)
  const found = await operations.seek(handle, offset, what, context)
  return found === undefined
    ? statusReply(unique, constants.errno.ENXIO)
    : lseekReply(unique, found)
}

async function answerListxattr(
  exchange: Exchange,
  request: RequestOf<'listxattr'>,
): Promise<Message> {
  const { operations, context, unique } = exchange
  if (operations.listxattr === undefined) return statusReply(unique, constants.errno.ENOSYS)
  const names = await operations.listxattr(request.ino, context)
  const value = Buffer.from(names.map((name) => `${name}\0`).join(''))
  return xattrReply(unique, value, request.maxBytes)
}

const unlocked = { kind: 'none', waits: false } as const

/** How many pieces a channel sends as one message. */
const maxParts = 256
