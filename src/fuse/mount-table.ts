import { lstat, readFile, readlink, realpath } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { isGivenPlace } from './given-place.ts'

/** One line of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export interface MountRecord {
  /** Absolute, without symbolic links. */
  readonly mountpoint: string
  /** `fuse.abfs`, `ext4`, … */
  readonly type: string
  /** What is mounted, as it named itself. */
  readonly source: string
  /** `major:minor` of the file system. */
  readonly device: string
}

/** The type that the kernel shows for our mounts. */
export const ourMountType = 'fuse.abfs'

/** All mounts, the later on top. Reading it asks no file system and cannot hang. */
export async function readMountTable(): Promise<readonly MountRecord[]> {
  return parseMountInfo(await readFile('/proc/self/mountinfo', 'utf8'))
}

/** Reads the text of a mountinfo file; lines of another shape are left out. */
export function parseMountInfo(text: string): MountRecord[] {
  return text.split('\n').flatMap((line) => {
    // Optional fields stand before the hyphen.
    const [head = '', tail = ''] = line.split(' - ')
    const [, , device, , mountpoint] = head.split(' ')
    const [type, source] = tail.split(' ')
    if (device === undefined || mountpoint === undefined) return []
    if (type === undefined || source === undefined) return []
    return [{ mountpoint: unescapeOctal(mountpoint), type, source: unescapeOctal(source), device }]
  })
}

/** What is mounted on top at `mountpoint`, a canonical path. */
export async function findMount(mountpoint: string): Promise<MountRecord | undefined> {
  return (await readMountTable()).findLast((record) => record.mountpoint === mountpoint)
}

/**
 * The absolute path of `path` without symbolic links, as the mount table has it. Does not touch
 * what is mounted at the path itself: its server may be dead, or this very process. Rejects with
 * Node's ENOENT when the path does not exist.
 */
export async function canonicalMountpoint(path: string): Promise<string> {
  const absolute = resolve(path)
  if (isGivenPlace(absolute)) return absolute
  const parent = await realpath(dirname(absolute))
  const place = absolute === '/' ? '/' : join(parent, basename(absolute))
  if ((await findMount(place)) !== undefined) return place
  if (!(await lstat(place)).isSymbolicLink()) return place
  // A chain of links ends, or the kernel's ELOOP ends it.
  return canonicalMountpoint(resolve(parent, await readlink(place)))
}

/** Space, tab, newline and backslash stand as octal numbers. */
function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}
