import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FileSystemError } from '../../errors.ts'

// The lock is a file that names the process. It is linked into place, so that it is never seen
// half-written, and outlives a kill: then the process it names is gone and the next one takes it.

interface Holder {
  readonly pid: number
  /** Tells a process from a later one of the same id; from `/proc`, empty where there is none. */
  readonly started: string
  readonly token: string
}

/** Takes a directory for this process. Returns what gives it back; throws `EBUSY` while another holds it. */
export function lockDirectory(directory: string): () => void {
  const path = join(directory, 'lock')
  const token = randomUUID()
  const own = join(directory, `lock.${token}`)
  const holder: Holder = { pid: process.pid, started: startOf(process.pid) ?? '', token }
  writeFileSync(own, JSON.stringify(holder), { mode: 0o600 })
  try {
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      if (linkIfAbsent(own, path)) return () => release(path, token)
      clearStale(directory, path)
    }
    throw busy(directory, readHolder(path))
  } finally {
    rmSync(own, { force: true })
  }
}

const maxAttempts = 5

function linkIfAbsent(own: string, path: string): boolean {
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/** Moves the lock of a dead process aside; puts it back if it is another one's after all. */
function clearStale(directory: string, path: string): void {
  const holder = readHolder(path)
  if (holder !== undefined && isAlive(holder)) throw busy(directory, holder)
  const aside = join(directory, `lock.${randomUUID()}`)
  try {
    renameSync(path, aside)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return
    throw error
  }
  if (readHolder(aside)?.token !== holder?.token) linkIfAbsent(aside, path)
  rmSync(aside, { force: true })
}

function release(path: string, token: string): void {
  if (readHolder(path)?.token === token) rmSync(path, { force: true })
}

function readHolder(path: string): Holder | undefined {
  try {
    return parseHolder(JSON.parse(readFileSync(path, 'utf8')))
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || error instanceof SyntaxError) return undefined
    throw error
  }
}

function parseHolder(value: unknown): Holder | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { pid, started, token } = value as Partial<Record<keyof Holder, unknown>>
  const known = typeof pid === 'number' && typeof started === 'string' && typeof token === 'string'
  return known ? { pid, started, token } : undefined
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // EPERM: it lives and is another user's.
    if (codeOf(error) === 'ESRCH') return false
  }
  const now = startOf(pid)
  return now === undefined || started === '' || now === started
}

/** When a process began, in ticks since boot; 'dead' for one that waits to be reaped. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may hold anything: fields are counted after it, from the third on.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? 'dead' : fields[19]
  } catch {
    // No /proc here, or the process ended in between: its id alone decides.
    return undefined
  }
}

function busy(directory: string, holder: Holder | undefined): FileSystemError {
  const who = holder === undefined ? 'another server' : `the server of process ${holder.pid}`
  return new FileSystemError('EBUSY', 'storage.open', {
    path: directory,
    detail: `${who} uses this directory: stop it, or choose another directory`,
  })
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
