import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'

/** A cgroup of this process: where its files lie, up to where there are others above it, and what limits are called. */
interface Group {
  readonly directory: string
  readonly top: string
  readonly limits: readonly string[]
}

interface Mount {
  /** The cgroup that the mount shows at its top. */
  readonly shows: string
  readonly at: string
  readonly type: string
  readonly options: readonly string[]
}

/**
 * What this process may have of memory by its cgroup and those above it, of version 1 and 2: bytes, the
 * least of all limits, as each of them holds; `Infinity` where there is none, or none can be read. Of version 2
 * `memory.high` counts too: beyond it a process is not killed but slowed down until it is of no use.
 * `root` is where `/proc` and what it names are looked for.
 */
export function cgroupMemoryBytes(root = '/'): number {
  const mounts = mountsOf(textOf(join(root, 'proc/self/mountinfo')) ?? '')
  const lines = (textOf(join(root, 'proc/self/cgroup')) ?? '').split('\n')
  const groups = lines.flatMap((line) => groupOf(line, mounts))
  return Math.min(...groups.map((group) => leastLimit(group, root)))
}

/** `ID:CONTROLLERS:PATH`; version 2 names no controllers. */
function groupOf(line: string, mounts: readonly Mount[]): Group[] {
  const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
  if (controllers === undefined || path === undefined) return []
  const isUnified = controllers === ''
  if (!isUnified && !controllers.split(',').includes('memory')) return []
  const mount = mounts.find(({ type, options }) =>
    isUnified ? type === 'cgroup2' : type === 'cgroup' && options.includes('memory'),
  )
  if (mount === undefined) return []
  const limits = isUnified ? ['memory.max', 'memory.high'] : ['memory.limit_in_bytes']
  return [{ directory: posix.join(mount.at, below(mount.shows, path)), top: mount.at, limits }]
}

/** Of a cgroup outside what the mount shows nothing can be read: then the mount's top stands for it. */
function below(shows: string, path: string): string {
  const relative = posix.relative(shows, path)
  return relative.startsWith('..') ? '' : relative
}

function leastLimit({ directory, top, limits }: Group, root: string): number {
  const own = limits.map((name) => limitIn(join(root, directory, name)))
  const isTop = directory === top || directory === '/'
  const above = isTop
    ? []
    : [leastLimit({ directory: posix.dirname(directory), top, limits }, root)]
  return Math.min(...own, ...above)
}

/** `max`, and what cannot be read, is no limit. */
function limitIn(path: string): number {
  const text = textOf(path)?.trim() ?? ''
  return /^\d+$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY
}

/** Fields 4 and 5 of a line, and, behind a dash, the type and the options of the file system. */
function mountsOf(text: string): Mount[] {
  return text.split('\n').flatMap((line) => {
    const [head = '', tail = ''] = line.split(' - ')
    const [, , , shows, at] = head.split(' ')
    const [type = '', , options = ''] = tail.split(' ')
    if (shows === undefined || at === undefined) return []
    return [{ shows: unescaped(shows), at: unescaped(at), type, options: options.split(',') }]
  })
}

/** Blanks in paths are told as `\040`. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
