/** What the calls of `node:fs/promises` that change attributes are given, as metadata keeps it. */
import type { PosixAttributes } from '../namespace/entry.ts'

/** A mode as Node's calls take it: a number, of which the permission bits count, or an octal text. */
export type NodeMode = number | string

/** A time as Node's calls take it: seconds, as a number or a text of one, or a `Date`. */
export type NodeTime = number | string | Date

const permissionBits = 0o7777

/** `TypeError` unless `mode` is one. */
export function modeChange(mode: NodeMode): PosixAttributes {
  const bits = typeof mode === 'string' && /^[0-7]+$/.test(mode) ? Number.parseInt(mode, 8) : mode
  if (typeof bits === 'number' && Number.isSafeInteger(bits) && bits >= 0) {
    return { mode: bits & permissionBits }
  }
  throw new TypeError(`mode: expected permission bits or an octal text, got ${String(mode)}`)
}

/** An owner; -1 leaves it as it is, as in Node. */
export function ownerChange(uid: number, gid: number): PosixAttributes {
  return { ...idChange('uid', uid), ...idChange('gid', gid) }
}

/** Of modification, to the microsecond: access times are not kept. */
export function timeChange(mtime: NodeTime): PosixAttributes {
  const seconds = mtime instanceof Date ? mtime.getTime() / 1000 : Number(mtime)
  if (!Number.isFinite(seconds)) {
    throw new TypeError(`mtime: expected seconds since 1970 or a Date, got ${String(mtime)}`)
  }
  return { mtimeNs: BigInt(Math.round(seconds * 1e6)) * 1000n }
}

function idChange(name: 'uid' | 'gid', id: number): PosixAttributes {
  if (id === -1) return {}
  if (Number.isSafeInteger(id) && id >= 0) return { [name]: id }
  throw new TypeError(`${name}: expected a number of 0 or more, or -1, got ${String(id)}`)
}
