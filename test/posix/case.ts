/**
 * System calls to make in a directory of their own, one after another, in the words of
 * `system-calls.cc`. `call => result` says what POSIX and Linux promise; other calls only have to
 * give what they give on a local file system.
 */
export interface Case {
  /** Unique; begins with the system call that is looked at. */
  readonly name: string
  readonly calls: readonly string[]
}

/** What a name can stand for. */
export const types = ['file', 'dir', 'fifo', 'block', 'char', 'socket', 'link'] as const

export type FileType = (typeof types)[number]

/** Those that are neither directories nor links: nothing can be below them. */
export const leaves = ['file', 'fifo', 'block', 'char', 'socket'] as const

/** A user who is not root, the group of the same number, and another such user. */
export const user = 65534
export const stranger = 65533

/** The call that makes `name`, with the permission bits `mode`. */
export function make(type: FileType, name: string, mode = '0644'): string {
  switch (type) {
    case 'file':
      return `mknod ${name} f ${mode} 0 0 => 0`
    case 'dir':
      return `mkdir ${name} ${mode} => 0`
    case 'fifo':
      return `mkfifo ${name} ${mode} => 0`
    case 'block':
      return `mknod ${name} b ${mode} 1 2 => 0`
    case 'char':
      return `mknod ${name} c ${mode} 1 2 => 0`
    case 'socket':
      return `mknod ${name} s ${mode} 0 0 => 0`
    case 'link':
      return `symlink target ${name} => 0`
  }
}

/** The call that removes `name`. */
export function remove(type: FileType, name: string): string {
  return type === 'dir' ? `rmdir ${name}` : `unlink ${name}`
}

/** A name of `length` bytes. */
export function long(length: number): string {
  return 'n'.repeat(length)
}

/** Makes the calls that follow as this user, in `groups` as well. */
export function as(uid: number, gid: number = uid, ...groups: readonly number[]): string {
  return `as ${[uid, gid, ...groups].join(' ')} => 0`
}

/** All combinations of one element of each list. */
export function product<A, B>(a: readonly A[], b: readonly B[]): (readonly [A, B])[] {
  return a.flatMap((left) => b.map((right) => [left, right] as const))
}

/** All subsets of `flags`, each joined with `|`; the first is empty. */
export function subsets(flags: readonly string[]): string[] {
  const [first, ...rest] = flags
  if (first === undefined) return ['']
  return subsets(rest).flatMap((some) => [some, some === '' ? first : `${first}|${some}`])
}
