// What a tree is made of, so that two can be compared entry by entry.
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join, relative } from 'node:path'

/** Files read at once: a drive answers many readers better than one. */
const readers = 8

/** Path → type, size, sha256 or link target, mode and mtime (seconds) of everything below `root`. */
export async function describeTree(root) {
  const paths = await listPaths(root)
  const entries = new Array(paths.length)
  const queue = paths.entries()
  const work = async () => {
    for (const [index, path] of queue) {
      entries[index] = [relative(root, path), await describeEntry(path)]
    }
  }
  await Promise.all(Array.from({ length: readers }, work))
  return new Map(entries)
}

/** Files and bytes of a described tree. */
export function totalsOf(tree) {
  const files = [...tree.values()].filter(({ type }) => type === 'file')
  return { files: files.length, bytes: files.reduce((sum, { size }) => sum + size, 0) }
}

/** Throws with the first differences; `fields` are compared of each entry. */
export function assertSame(expected, actual, fields, what) {
  const differences = []
  for (const [path, entry] of expected) {
    const other = actual.get(path)
    if (other === undefined) differences.push(`${path}: missing`)
    for (const field of other === undefined ? [] : fields) {
      if (entry[field] !== other[field]) {
        differences.push(`${path}: ${field} is ${other[field]}, expected ${entry[field]}`)
      }
    }
  }
  for (const path of actual.keys()) {
    if (!expected.has(path)) differences.push(`${path}: not in the source`)
  }
  if (differences.length === 0) return
  throw new Error(
    `${what}: ${differences.length} differences\n${differences.slice(0, 9).join('\n')}`,
  )
}

async function listPaths(root) {
  const entries = await readdir(root, { withFileTypes: true, recursive: true })
  return entries.map((entry) => join(entry.parentPath ?? entry.path, entry.name)).sort()
}

async function describeEntry(path) {
  const stats = await lstat(path)
  const common = {
    mode: (stats.mode & 0o7777).toString(8),
    mtime: Math.floor(stats.mtimeMs / 1000),
  }
  if (stats.isDirectory()) return { type: 'directory', ...common }
  // The kernel fixes the mode of links, and cp -a keeps their time where it can.
  if (stats.isSymbolicLink()) return { type: 'link', target: await readlink(path) }
  return { type: 'file', size: stats.size, sha256: await sha256Of(path), ...common }
}

async function sha256Of(path) {
  const hash = createHash('sha256')
  for await (const data of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(data)
  return hash.digest('hex')
}
