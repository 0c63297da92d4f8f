import { randomUUID } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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
  const token = randomUUID()
  const own = join(directory, `lock.${token}`)
  const path = join(directory, 'lock')
  const holder: Holder = { pid: process.pid, started: startOf(process.pid) ?? '', token }
  writeFileSync(own, JSON.stringify(holder), { mode: 0o600 })
  try {
    take(directory, own, path)
    return () => release(path, token)
  } finally {
    rmSync(own, { force: true })
  }
}

const maxAttempts = 5

/** Links `own` to `path`, in the place of one that a dead process left there; throws `EBUSY` if that cannot be. */
function take(directory: string, own: string, path: string): void {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    if (linkIfAbsent(own, path)) return
    const found = readHolder(path)
    if (found !== 'absent' && isAlive(found)) throw busy(directory, found)
    if (found !== 'absent' && takeFromDead(directory, { own, path, found })) return
  }
  throw busy(directory, 'damaged')
}

function linkIfAbsent(own: string, path: string): boolean {
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
}

/**
 * Removes the lock `found`, whose process is gone, and says whether its place was had. Nobody removes a lock of
 * others without the lock of its token: while that is held, what lies at `path` stays if it is still `found`, so that a
 * live lock that was put there meanwhile is never touched.
 */
function takeFromDead(directory: string, { own, path, found }: DeadLock): boolean {
  const claim = `${path}.of-${tokenOf(found)}`
  take(directory, own, claim)
  try {
    const now = readHolder(path)
    if (now === 'absent' || tokenOf(now) !== tokenOf(found)) return false
    rmSync(path)
    return linkIfAbsent(own, path)
  } finally {
    rmSync(claim)
  }
}

interface DeadLock {
  readonly own: string
  readonly path: string
  readonly found: Holder | 'damaged'
}

/** What a crash of the machine has cut is nobody's, and one like the other. */
function tokenOf(holder: Holder | 'damaged'): string {
  return holder === 'damaged' ? holder : holder.token
}

function release(path: string, token: string): void {
  const found = readHolder(path)
  if (found !== 'absent' && tokenOf(found) === token) rmSync(path, { force: true })
}

function readHolder(path: string): Holder | 'damaged' | 'absent' {
  try {
    return parseHolder(JSON.parse(readFileSync(path, 'utf8'))) ?? 'damaged'
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'absent'
    if (error instanceof SyntaxError) return 'damaged'
    throw error
  }
}

function parseHolder(value: unknown): Holder | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { pid, started, token } = value as Partial<Record<keyof Holder, unknown>>
  const known = typeof pid === 'number' && typeof started === 'string' && typeof token === 'string'
  // It becomes part of a file's name.
  return known && /^[\da-f-]{36}$/.test(token) ? { pid, started, token } : undefined
}

function isAlive(holder: Holder | 'damaged'): boolean {
  if (holder === 'damaged') return false
  const { pid, started } = holder
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

function busy(directory: string, holder: Holder | 'damaged'): FileSystemError {
  const who = holder === 'damaged' ? 'another server' : `the server of process ${holder.pid}`
  return new FileSystemError('EBUSY', 'storage.open', {
    path: directory,
    detail: `${who} uses this directory: stop it, or choose another directory`,
  })
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
