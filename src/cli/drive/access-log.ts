import type { Logger } from 'pino'
import type { Clock } from '../../clock.ts'
import { FileSystemError, isFileSystemError } from '../../errors.ts'
import type { CallContext } from '../../vfs/operations.ts'
import { bytesOf, type Call } from './call-meter.ts'
import { LineFile } from './line-file.ts'
import { errorFields } from './log.ts'

export interface CallLogOptions {
  /** The name of an inode below the mount; `undefined` when it is not known any more. */
  readonly nameOf: (ino: number) => string | undefined
  /** One JSON line a call; none when absent. */
  readonly accessLog?: string | undefined
  /** Calls that take longer are warned of in `log`; milliseconds; 0 warns of none. */
  readonly slowMs: number
  readonly log: Logger
  readonly clock: Clock
}

/** Says what programs ask of a drive: each call in the access log, slow ones in the drive's own. */
export class CallLog {
  readonly #options: CallLogOptions
  readonly #file: LineFile | undefined
  /** Which inode an open file or directory is of. */
  readonly #inodes = new Map<number, number>()

  constructor(options: CallLogOptions) {
    this.#options = options
    const { accessLog, log } = options
    if (accessLog === undefined) return
    const onFault = (error: unknown): void => {
      log.warn({ accessLog, ...errorFields(error) }, 'lines of the access log are lost')
    }
    try {
      this.#file = new LineFile(accessLog, onFault)
    } catch (cause) {
      throw unwritable(accessLog, cause)
    }
  }

  /** Whether calls need to be told to it at all. */
  get isWanted(): boolean {
    return this.#file !== undefined || this.#options.slowMs > 0
  }

  note(call: Call): void {
    this.#remember(call)
    const { slowMs, log } = this.#options
    const isSlow = slowMs > 0 && call.durationMs > slowMs
    if (this.#file !== undefined || isSlow) {
      const fields = this.#fieldsOf(call)
      this.#write(fields)
      if (isSlow) log.warn(fields, 'slow call')
    }
    this.#forget(call)
  }

  /** What is still in memory goes to the old file. */
  reopen(): void {
    void this.#file?.reopen()
  }

  /** Writes what is still in memory. */
  async close(): Promise<void> {
    await this.#file?.close()
  }

  #write(fields: object): void {
    const time = new Date(this.#options.clock.nowMs()).toISOString()
    this.#file?.write(`${JSON.stringify({ time, ...fields })}\n`)
  }

  #remember({ arguments: [first], result }: Call): void {
    const handle = handleOf(result)
    const ino = inoOf(result) ?? first
    if (handle !== undefined && typeof ino === 'number') this.#inodes.set(handle, ino)
  }

  #forget({ name, arguments: [first] }: Call): void {
    if (name.startsWith('release') && typeof first === 'number') this.#inodes.delete(first)
  }

  #fieldsOf(call: Call): object {
    const { name, arguments: args, error, durationMs, requestIds } = call
    const [first, second] = args
    const ino = byHandle.has(name) ? this.#inodes.get(Number(first)) : Number(first)
    const directory = ino === undefined ? undefined : this.#options.nameOf(ino)
    const child = byName.has(name) ? [String(second)] : []
    const context = args.findLast(isContext)
    return {
      call: name,
      path:
        directory === undefined
          ? undefined
          : ['', directory, ...child].join('/').replace('//', '/'),
      bytes: name === 'read' || name === 'write' ? bytesOf(call.result) : undefined,
      offset: name === 'read' ? startOf(second) : name === 'write' ? second : undefined,
      ms: Number(durationMs.toFixed(3)),
      error: isFileSystemError(error)
        ? error.code
        : error === undefined
          ? undefined
          : String(error),
      callerPid: context?.pid,
      callerUid: context?.uid,
      requestIds: requestIds.length === 0 ? undefined : requestIds,
    }
  }
}

function unwritable(path: string, cause: unknown): FileSystemError {
  const why = cause instanceof Error ? cause.message : String(cause)
  const detail = `--access-log cannot be written: ${why}`
  return new FileSystemError('EACCES', 'mount', { path, detail, cause })
}

const byHandle: ReadonlySet<string> = new Set([
  'read',
  'write',
  'flush',
  'fsync',
  'release',
  'readdir',
  'releasedir',
  'fsyncdir',
  'fallocate',
])
const byName: ReadonlySet<string> = new Set([
  'lookup',
  'create',
  'mkdir',
  'mknod',
  'symlink',
  'unlink',
  'rmdir',
  'rename',
])

/** `open` and `opendir` give a handle, `create` one within. */
function handleOf(result: unknown): number | undefined {
  if (typeof result !== 'object' || result === null) return undefined
  if ('file' in result) return handleOf(result.file)
  return 'handle' in result && typeof result.handle === 'number' ? result.handle : undefined
}

/** What `create` made. */
function inoOf(result: unknown): number | undefined {
  const created = typeof result === 'object' && result !== null && 'entry' in result
  const entry = created ? result.entry : undefined
  const attributes = typeof entry === 'object' && entry !== null && 'attributes' in entry
  return attributes ? numberIn(entry.attributes) : undefined
}

function numberIn(attributes: unknown): number | undefined {
  const known = typeof attributes === 'object' && attributes !== null && 'ino' in attributes
  return known && typeof attributes.ino === 'number' ? attributes.ino : undefined
}

function startOf(range: unknown): unknown {
  return typeof range === 'object' && range !== null && 'start' in range ? range.start : undefined
}

function isContext(value: unknown): value is CallContext {
  return typeof value === 'object' && value !== null && 'signal' in value && 'pid' in value
}
