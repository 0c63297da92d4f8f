/**
 * Several files, each open several times, while names are made, moved and removed: whatever the order, every handle
 * reads what its file holds. Nothing is cached in memory, so that reads ask the service.
 */
import { constants } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import type { BlobStore } from '../../src/blob/store.ts'
import type { HandleId, Ino } from '../../src/vfs/operations.ts'
import { modelMounts, modelSeed, mountForModel } from '../support/model-mounts.ts'
import { isLongRun } from '../support/program.ts'
import { caller, type VfsMount } from '../support/vfs-mount.ts'

const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC, O_APPEND } = constants
const numRuns = isLongRun ? 2000 : 100
const names = ['a', 'b', 'd/a', 'd/b', 'e/a'] as const

const name = fc.constantFrom(...names)
const flags = fc.constantFrom(O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY | O_APPEND, O_RDWR | O_TRUNC)
/** Which of the open handles. */
const which = fc.nat({ max: 5 })
const at = fc.nat({ max: 300 })

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('create' as const), name }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('open' as const), name, flags }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), which, at }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), which, at }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('fsync' as const), which }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('close' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cut' as const), name, at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('chmod' as const), name, at }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('rename' as const), name, to: name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unlink' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('moveDirectory' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('later' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remount' as const) }) },
)

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never
type HandleStep = Extract<Step, { readonly which: number }>
type NameStep = Extract<Step, { readonly name: string }>

/** A file, whatever names it has had. */
interface File {
  /** Of this mount. */
  ino: Ino
  bytes: Buffer
}

interface Handle {
  readonly id: HandleId
  readonly file: File
  readonly flags: number
}

const accessOf = ({ flags }: Handle): number => flags & (O_WRONLY | O_RDWR)

/** A mount, and beside it what its names and handles should hold. */
class Model {
  #mount: VfsMount
  readonly #remount: (account?: BlobStore) => Promise<VfsMount>
  readonly #files = new Map<string, File>()
  readonly #handles: Handle[] = []
  /** What the directory `d` is called at the moment. */
  #directory = 'd'
  #written = 0

  private constructor(mount: VfsMount, remount: (account?: BlobStore) => Promise<VfsMount>) {
    this.#mount = mount
    this.#remount = remount
  }

  static async make(mount: (account?: BlobStore) => Promise<VfsMount>): Promise<Model> {
    const first = await mount()
    for (const directory of ['d', 'e']) await first.mkdir(directory)
    return new Model(first, mount)
  }

  /** Does nothing where `step` has no handle or name to be done with. */
  async take(step: Step): Promise<void> {
    if ('which' in step) await this.#withHandle(step)
    else if ('name' in step) await this.#withName(step)
    else if (step.kind === 'later') await this.#mount.clock.advance(60_000)
    else if (step.kind === 'remount') await this.#mountAgain()
    else await this.#moveDirectory()
  }

  /** What every handle reads, and how long every file is. */
  async check(): Promise<void> {
    for (const handle of this.#handles) {
      if (accessOf(handle) === O_WRONLY) continue
      same(await this.#mount.read(handle.id, 0, 1000), handle.file.bytes, 'what a handle reads')
    }
    for (const [name, { bytes }] of this.#files) {
      const { sizeBytes } = await this.#mount.stat(this.#path(name))
      if (sizeBytes !== bytes.length) throw new Error(`${name} has ${sizeBytes} bytes`)
    }
  }

  /** Closes all, and compares what is stored. */
  async end(): Promise<void> {
    await this.#unmount()
    for (const name of names) {
      const path = { container: 'box', name: this.#path(name) }
      const blob = await this.#mount.account.get(path).catch(() => undefined)
      same(blob && Buffer.from(blob.data), this.#files.get(name)?.bytes, `the blob of ${name}`)
    }
  }

  async #unmount(): Promise<void> {
    for (const { id } of this.#handles.splice(0)) await this.#mount.close(id)
    await this.#mount.vfs.close()
  }

  async #mountAgain(): Promise<void> {
    await this.#unmount()
    this.#mount = await this.#remount(this.#mount.account)
    for (const [name, file] of this.#files) file.ino = await this.#mount.ino(this.#path(name))
  }

  async #withHandle(step: HandleStep): Promise<void> {
    const reads = step.kind === 'close'
    const able = this.#handles.filter((each) => reads || accessOf(each) !== O_RDONLY)
    const handle = able[step.which % Math.max(able.length, 1)]
    if (handle === undefined) return
    const { id, file } = handle
    if (step.kind === 'write') await this.#write(handle, step.at)
    if (step.kind === 'fsync') await this.#mount.vfs.fsync(id, false, caller)
    if (step.kind === 'truncate') {
      await this.#mount.vfs.setattr(file.ino, { sizeBytes: step.at, handle: id }, caller)
      file.bytes = resized(file.bytes, step.at)
    }
    if (step.kind !== 'close') return
    this.#handles.splice(this.#handles.indexOf(handle), 1)
    await this.#mount.close(id)
  }

  async #write({ id, file, flags }: Handle, at: number): Promise<void> {
    const data = Buffer.alloc(50, ++this.#written)
    const start = (flags & O_APPEND) === 0 ? at : file.bytes.length
    await this.#mount.write(id, start, data)
    file.bytes = resized(file.bytes, Math.max(file.bytes.length, start + data.length))
    data.copy(file.bytes, start)
  }

  async #withName(step: NameStep): Promise<void> {
    const path = this.#path(step.name)
    const file = this.#files.get(step.name)
    if (step.kind === 'create' && file === undefined) await this.#create(step.name)
    if (file === undefined) return
    if (step.kind === 'open') await this.#open(file, path, step.flags)
    if (step.kind === 'chmod') {
      await this.#mount.vfs.setattr(file.ino, { mode: 0o600 + (step.at % 8) }, caller)
    }
    if (step.kind === 'cut') {
      await this.#mount.vfs.setattr(file.ino, { sizeBytes: step.at }, caller)
      file.bytes = resized(file.bytes, step.at)
    }
    if (step.kind === 'unlink') await this.#mount.unlink(path)
    if (step.kind === 'rename' && step.name !== step.to) {
      await this.#mount.rename(path, this.#path(step.to))
      this.#files.set(step.to, file)
    }
    if (step.kind === 'unlink' || (step.kind === 'rename' && step.name !== step.to))
      this.#files.delete(step.name)
  }

  async #create(name: string): Promise<void> {
    const path = this.#path(name)
    const id = await this.#mount.create(path)
    const file = { ino: await this.#mount.ino(path), bytes: Buffer.alloc(0) }
    this.#files.set(name, file)
    this.#handles.push({ id, file, flags: O_RDWR })
  }

  async #open(file: File, path: string, flags: number): Promise<void> {
    const ino = await this.#mount.ino(path)
    if (ino !== file.ino) throw new Error(`${path} is another inode`)
    const { handle } = await this.#mount.vfs.open(ino, flags, caller)
    if ((flags & O_TRUNC) !== 0) file.bytes = Buffer.alloc(0)
    this.#handles.push({ id: handle, file, flags })
  }

  async #moveDirectory(): Promise<void> {
    const to = this.#directory === 'd' ? 'x' : 'd'
    await this.#mount.rename(this.#directory, to)
    this.#directory = to
  }

  #path(name: string): string {
    return name.startsWith('d/') ? `${this.#directory}${name.slice(1)}` : name
  }
}

function resized(bytes: Buffer, size: number): Buffer {
  const next = Buffer.alloc(size)
  bytes.copy(next)
  return next
}

function same(given: Buffer | undefined, expected: Buffer | undefined, what: string): void {
  const words = (bytes: Buffer | undefined) => bytes?.toString('hex') ?? 'none'
  if (words(given) === words(expected)) return
  throw new Error(`${what}: ${words(given)}, and should be ${words(expected)}`)
}

for (const [account, options] of Object.entries(modelMounts)) {
  t.test(`every handle reads its file, whatever becomes of names on ${account}`, async (t) => {
    const seed = modelSeed(t)
    const steps = fc.array(step, { maxLength: 60, size: 'max' })
    const property = fc.asyncProperty(steps, async (steps) => {
      const model = await Model.make((account) => mountForModel(t, options, account))
      for (const each of steps) {
        await model.take(each)
        await model.check()
      }
      await model.end()
    })
    await fc.assert(property, { seed, numRuns })
    t.pass(`${numRuns} runs`)
  })
}
