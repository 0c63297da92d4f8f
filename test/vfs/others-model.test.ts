/**
 * Files that others store and remove while they are open here, and while their names move. Content is made of words that
 * say which write they are of, so that one can tell a version from a mixture of two: whatever the order,
 *
 * - what a handle reads is one version, or `ESTALE`, and from then on that version with what was written here;
 * - a commit replaces no version of others that its writer had not begun with.
 */
import { constants } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import type { BlobStore } from '../../src/blob/store.ts'
import { isFileSystemError } from '../../src/errors.ts'
import { faultChannel } from '../../src/telemetry.ts'
import type { HandleId, Ino } from '../../src/vfs/operations.ts'
import {
  type modelMounts,
  modelMountsAndCached,
  modelSeed,
  mountForModel,
} from '../support/model-mounts.ts'
import { isLongRun } from '../support/program.ts'
import { caller, type VfsMount } from '../support/vfs-mount.ts'
import { bytesOf, type Words, wordsOf } from '../support/worded-content.ts'

const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC } = constants
const numRuns = isLongRun ? 2000 : 100
const names = ['a', 'd/a', 'd/b'] as const

const name = fc.constantFrom(...names)
/** In words. */
const size = fc.nat({ max: 60 })
const which = fc.nat({ max: 5 })

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('put' as const), name, size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('open' as const),
      name,
      flags: fc.constantFrom(O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_TRUNC),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('read' as const), which, size }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('write' as const), which, size }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('truncate' as const), which, size }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('fsync' as const), which }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('close' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('chmod' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('setxattr' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stat' as const), name }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('rename' as const), name, to: name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('moveDirectory' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('unlink' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('later' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remount' as const) }) },
)

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never
type HandleStep = Extract<Step, { readonly which: number }>
type NameStep = Extract<Step, { readonly name: string }>

interface Handle {
  readonly id: HandleId
  readonly ino: Ino
  readonly flags: number
  /** What was read through it last. */
  seen: Words | undefined
}

class Model {
  readonly #remount: (account?: BlobStore) => Promise<VfsMount>
  #mount: VfsMount
  readonly #handles: Handle[] = []
  /** Of writes of others. */
  readonly #foreign = new Set<number>()
  /** All that was ever a version here or at the service. */
  readonly #versions = new Map<string, Words>()
  #stored = new Map<string, Words>()
  #directory = 'd'
  #last = 0

  private constructor(mount: VfsMount, remount: (account?: BlobStore) => Promise<VfsMount>) {
    this.#mount = mount
    this.#remount = remount
  }

  static async make(mount: (account?: BlobStore) => Promise<VfsMount>): Promise<Model> {
    const first = await mount()
    await first.mkdir('d')
    return new Model(first, mount)
  }

  /** What was written here was given up, and is not read any more. */
  forget(): void {
    for (const handle of this.#handles) handle.seen = undefined
  }

  async take(step: Step): Promise<void> {
    await this.#untilDone(this.#take(step))
    await this.#compareStored(step)
  }

  /** What waits for time has it. */
  async #untilDone(work: Promise<void>): Promise<void> {
    let isDone = false
    const end = () => {
      isDone = true
    }
    work.then(end, end)
    for (let turn = 1; !isDone && turn < 100_000; turn++) {
      await setImmediate()
      if (turn % 100 === 0) await this.#mount.clock.advance(1000)
    }
    if (!isDone) throw new Error('a step does not end')
    await work
  }

  async #take(step: Step): Promise<void> {
    try {
      if ('which' in step) await this.#withHandle(step)
      else if ('name' in step) await this.#withName(step)
      else if (step.kind === 'later') await this.#mount.clock.advance(60_000)
      else if (step.kind === 'remount') await this.#unmount(true)
      else await this.#moveDirectory()
    } catch (error) {
      const isExpected = isFileSystemError(error, 'ESTALE', 'ENOENT') || isMissing(error)
      if (!isExpected) throw error
      if (step.kind !== 'read') this.forget()
    }
  }

  async end(): Promise<void> {
    await this.#untilDone(this.#unmount(false))
    await this.#compareStored({ kind: 'later' })
  }

  async #unmount(isMountedAgain: boolean): Promise<void> {
    for (const { id } of this.#handles.splice(0)) await this.#mount.close(id).catch(refuseOthers)
    await this.#mount.vfs.close()
    if (isMountedAgain) this.#mount = await this.#remount(this.#mount.account)
  }

  async #withName(step: NameStep): Promise<void> {
    const path = this.#path(step.name)
    switch (step.kind) {
      case 'put': {
        const words = Array.from({ length: step.size + 1 }, () => this.#last + 1)
        this.#foreign.add(++this.#last)
        await this.#mount.account.put({ container: 'box', name: path }, bytesOf(words))
        break
      }
      case 'delete':
        await this.#mount.account.delete({ container: 'box', name: path })
        break
      case 'open': {
        const ino = await this.#mount.ino(path)
        const { handle: id } = await this.#mount.vfs.open(ino, step.flags, caller)
        if ((step.flags & O_TRUNC) !== 0) this.#versions.set('', [])
        this.#handles.push({ id, ino, flags: step.flags, seen: undefined })
        break
      }
      case 'chmod':
        await this.#mount.vfs.setattr(await this.#mount.ino(path), { mode: 0o640 }, caller)
        break
      case 'setxattr': {
        const given = { value: Buffer.from(`${++this.#last}`), create: false, replace: false }
        await this.#mount.vfs.setxattr(await this.#mount.ino(path), 'user.a', given, caller)
        break
      }
      case 'stat':
        await this.#mount.stat(path)
        break
      case 'rename':
        if (step.to !== step.name) await this.#mount.rename(path, this.#path(step.to))
        break
      case 'unlink':
        await this.#mount.unlink(path)
        break
      default:
        step satisfies never
    }
  }

  async #withHandle(step: HandleStep): Promise<void> {
    const able = this.#handles.filter(({ flags }) => {
      if (step.kind === 'read') return flags !== O_WRONLY
      return step.kind === 'close' || flags !== O_RDONLY
    })
    const handle = able[step.which % Math.max(able.length, 1)]
    if (handle === undefined) return
    if (step.kind === 'read') await this.#read(handle, step.size)
    else if (step.kind === 'write') await this.#write(handle, step.size)
    else if (step.kind === 'truncate') await this.#truncate(handle, step.size)
    else if (step.kind === 'fsync') await this.#mount.vfs.fsync(handle.id, false, caller)
    else {
      this.#handles.splice(this.#handles.indexOf(handle), 1)
      await this.#mount.close(handle.id)
    }
  }

  /** A part first: who reads that has read a version. */
  async #read(handle: Handle, from: number): Promise<void> {
    const part = await this.#mount.read(handle.id, from * 4, from * 4 + 40)
    const words = wordsOf(await this.#mount.read(handle.id, 0, 1000))
    same(wordsOf(part), words.slice(from, from + 10), 'a part')
    if (!this.#versions.has(words.join())) throw new Error(`no version: ${words.join()}`)
    const { seen } = handle
    const isLater = (word: number, at: number) =>
      word !== seen?.[at] && this.#foreign.has(word) && seen !== undefined
    if (words.some(isLater)) throw new Error(`${seen?.join()}, and then ${words.join()}`)
    handle.seen = words
  }

  async #write(handle: Handle, at: number): Promise<void> {
    const words = new Array(10).fill(++this.#last)
    await this.#mount.write(handle.id, at * 4, bytesOf(words))
    this.#change((version) => {
      const before = Array.from({ length: at }, (_, index) => version[index] ?? 0)
      return [...before, ...words, ...version.slice(at + words.length)]
    })
  }

  async #truncate({ id, ino }: Handle, size: number): Promise<void> {
    await this.#mount.vfs.setattr(ino, { handle: id, sizeBytes: size * 4 }, caller)
    this.#change((version) => Array.from({ length: size }, (_, index) => version[index] ?? 0))
  }

  /** Whatever version it was made to. */
  #change(change: (version: Words) => Words): void {
    for (const version of [...this.#versions.values()]) {
      const next = change(version)
      this.#versions.set(next.join(), next)
    }
  }

  /** Each version that a commit replaced is one that it began with. */
  async #compareStored(step: Step): Promise<void> {
    const now = new Map<string, Words>()
    for (const name of names) {
      const path = { container: 'box', name: this.#path(name) }
      const blob = await this.#mount.account.get(path).catch(() => undefined)
      if (blob !== undefined) now.set(name, wordsOf(blob.data))
    }
    const isPut = 'name' in step && step.kind === 'put'
    for (const [name, words] of now) {
      if (isPut && step.name === name) this.#versions.set(words.join(), words)
      if (!this.#versions.has(words.join())) throw new Error(`stored: ${words.join()}`)
      const isPlaced = (isPut && step.name === name) || (step.kind === 'rename' && step.to === name)
      const before = this.#stored.get(name)
      if (!isPlaced && before !== undefined) this.#compareVersions(before, words)
    }
    this.#stored = now
  }

  #compareVersions(before: Words, after: Words): void {
    const theirs = Math.max(0, ...before.filter((word) => this.#foreign.has(word)))
    const isKept = (word: number, at: number) => word === before[at] || word > theirs || word === 0
    if (after.every(isKept)) return
    throw new Error(`${before.join()} was replaced by ${after.join()}`)
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

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

function refuseOthers(error: unknown): void {
  if (!isFileSystemError(error, 'ESTALE', 'ENOENT')) throw error
}

function same(given: Words, expected: Words, what: string): void {
  if (given.join() === expected.join()) return
  throw new Error(`${what}: ${given.join()}, and should be ${expected.join()}`)
}

/** Where a conflict is no error, who has written a file goes on in what others stored. */
const yielding: typeof modelMounts = {
  'a flat account where theirs stays': async () => ({ onConflict: 'theirs' as const }),
  'a flat account that keeps both': async () => ({ onConflict: 'rename' as const }),
}

for (const [account, options] of Object.entries({ ...modelMountsAndCached, ...yielding })) {
  t.test(`versions of others are mixed with nothing on ${account}`, async (t) => {
    const seed = modelSeed(t)
    const steps = fc.array(step, { maxLength: 60, size: 'max' })
    const property = fc.asyncProperty(steps, async (steps) => {
      const model = await Model.make((account) => mountForModel(t, options, account))
      const forget = () => model.forget()
      faultChannel.subscribe(forget)
      try {
        for (const each of steps) {
          await model.take(each)
          if (account in yielding && each.kind !== 'read') model.forget()
        }
        await model.end()
      } finally {
        faultChannel.unsubscribe(forget)
      }
    })
    await fc.assert(property, { seed, numRuns })
    t.pass(`${numRuns} runs`)
  })
}
