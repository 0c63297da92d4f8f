import type { ByteRange } from '../byte-range.ts'
import type {
  Allocation,
  AttributeChanges,
  CopyTarget,
  CreateOptions,
  FlockRequest,
  HandleId,
  Ino,
  NodeOptions,
  RenameTarget,
  XattrChange,
} from '../vfs/operations.ts'
import { opcodes, structs } from './abi.ts'

/** The head of every request. */
export interface RequestHeader {
  readonly opcode: number
  /** The kernel's number for the request, which the reply repeats. */
  readonly unique: bigint
  /** The inode concerned, as sent: 0 where the operation has none. */
  readonly nodeid: number
  readonly uid: number
  readonly gid: number
  readonly pid: number
}

/** What one request asks for. Numbers and names are copies; `write.data` lies in the frame. */
export type FuseRequest =
  | {
      readonly kind: 'init'
      readonly major: number
      readonly minor: number
      readonly maxReadahead: number
      readonly flags: number
      readonly flags2: number
    }
  | { readonly kind: 'lookup'; readonly parent: Ino; readonly name: string }
  | { readonly kind: 'forget'; readonly forgets: readonly Forget[] }
  | { readonly kind: 'getattr'; readonly ino: Ino; readonly handle: HandleId | undefined }
  | { readonly kind: 'setattr'; readonly ino: Ino; readonly changes: AttributeChanges }
  | { readonly kind: 'readlink'; readonly ino: Ino }
  | {
      readonly kind: 'symlink'
      readonly parent: Ino
      readonly name: string
      readonly target: string
    }
  | {
      readonly kind: 'mknod'
      readonly parent: Ino
      readonly name: string
      readonly node: NodeOptions
    }
  | { readonly kind: 'mkdir'; readonly parent: Ino; readonly name: string; readonly mode: number }
  | { readonly kind: 'unlink' | 'rmdir'; readonly parent: Ino; readonly name: string }
  | {
      readonly kind: 'rename'
      readonly parent: Ino
      readonly name: string
      readonly target: RenameTarget
    }
  | { readonly kind: 'link' }
  | { readonly kind: 'open'; readonly ino: Ino; readonly flags: number }
  | {
      readonly kind: 'create'
      readonly parent: Ino
      readonly name: string
      readonly options: CreateOptions
    }
  | { readonly kind: 'read'; readonly handle: HandleId; readonly range: ByteRange }
  | {
      readonly kind: 'write'
      readonly handle: HandleId
      readonly offsetBytes: number
      readonly data: Uint8Array
    }
  | { readonly kind: 'flush' | 'release' | 'releasedir'; readonly handle: HandleId }
  | { readonly kind: 'fsync' | 'fsyncdir'; readonly handle: HandleId; readonly dataOnly: boolean }
  | {
      readonly kind: 'fallocate'
      readonly handle: HandleId
      /** `undefined` for a mode that is not offered. */
      readonly allocation: Allocation | undefined
    }
  | {
      readonly kind: 'flock'
      readonly ino: Ino
      readonly handle: HandleId
      readonly request: FlockRequest
    }
  | { readonly kind: 'opendir'; readonly ino: Ino }
  | {
      readonly kind: 'readdir'
      readonly handle: HandleId
      readonly offset: number
      readonly maxBytes: number
      /** READDIRPLUS: with the attributes. */
      readonly plus: boolean
    }
  | { readonly kind: 'statfs'; readonly ino: Ino }
  | {
      readonly kind: 'getxattr'
      readonly ino: Ino
      readonly name: string
      /** 0 asks for the size only. */
      readonly maxBytes: number
    }
  | {
      readonly kind: 'setxattr'
      readonly ino: Ino
      readonly name: string
      readonly change: XattrChange
    }
  | { readonly kind: 'removexattr'; readonly ino: Ino; readonly name: string }
  | {
      readonly kind: 'lseek'
      readonly handle: HandleId
      readonly offset: number
      /** `undefined` for a way that is not offered. */
      readonly what: 'data' | 'hole' | undefined
    }
  | {
      readonly kind: 'copyRange'
      readonly handle: HandleId
      readonly range: ByteRange
      readonly target: CopyTarget
    }
  | { readonly kind: 'listxattr'; readonly ino: Ino; readonly maxBytes: number }
  | { readonly kind: 'interrupt'; readonly unique: bigint }
  | { readonly kind: 'destroy' }
  /** An operation that is not offered. */
  | { readonly kind: 'unknown' }

/** Lookups that the kernel gives back. */
export interface Forget {
  readonly ino: Ino
  readonly lookupCount: number
}

/** A frame that does not have the shape its opcode asks for. */
export class MalformedRequest extends RangeError {
  override readonly name = 'MalformedRequest'
  /** What the caller is told. */
  readonly code: 'EFBIG' | 'EINVAL'

  constructor(
    message: string,
    options: ErrorOptions & { readonly code?: 'EFBIG' | 'EINVAL' } = {},
  ) {
    super(message, options)
    this.code = options.code ?? 'EINVAL'
  }
}

/** Reads the head of `frame`; `undefined` when the frame is too short to have one. */
export function parseHeader(frame: Buffer): RequestHeader | undefined {
  const at = structs.inHeader
  if (frame.length < at.sizeBytes) return undefined
  return {
    opcode: frame.readUInt32LE(at.opcode),
    unique: frame.readBigUInt64LE(at.unique),
    nodeid: frame.readUInt32LE(at.nodeid + 4) * 2 ** 32 + frame.readUInt32LE(at.nodeid),
    uid: frame.readUInt32LE(at.uid),
    gid: frame.readUInt32LE(at.gid),
    pid: frame.readUInt32LE(at.pid),
  }
}

/** The kernel's name for an opcode, for reports. */
export function opcodeName(opcode: number): string {
  return opcodeNames.get(opcode) ?? `opcode ${opcode}`
}

const opcodeNames = new Map<number, string>(
  Object.entries(opcodes).map(([name, opcode]) => [opcode, name]),
)
