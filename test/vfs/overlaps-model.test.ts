/**
 * Several programs at once, each with files of its own open, on the same few names, which others replace and remove; the
 * service answers late, in any order. Whatever overlaps, nothing that is read or stored mixes two versions of others, no
 * handle goes from one of them to another, no commit replaces one that it had not begun with, and every call ends.
 */
import { constants } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'

import { faultChannel } from '../../src/telemetry.ts'
import type { HandleId, Ino } from '../../src/vfs/operations.ts'
import type { Request } from '../support/counting-store.ts'
import { modelMountsAndCached, modelSeed, mountForModel } from '../support/model-mounts.ts'
import { isLongRun } from '../support/program.ts'
import { caller, type VfsMount } from '../support/vfs-mount.ts'
import { bytesOf, type Words, wordsOf } from '../support/worded-content.ts'

const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC } = constants
const numRuns = isLongRun ? 2000 : 60
const names = ['a', 'd/a', 'd/b'] as const

const name = fc.constantFrom(...names)
/** In words. */
const size = fc.nat({ max: 60 })
const which = fc.nat({ max: 3 })
const flags = fc.constantFrom(O_RDONLY, O_RDONLY, O_RDWR, O_WRONLY, O_RDWR | O_TRUNC)

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('put' as const), name, size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('delete' as const), name }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('open' as const), name, flags }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('create' as const), name }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('read' as const), which }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('write' as const), which, size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('truncate' as const), which, size }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('fsync' as const), which }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('close' as const), which }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('chmod' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('stat' as const), name }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('rename' as const), name, to: name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('moveDirectory' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('unlink' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('list' as const) }) },
)

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

interface Handle {
  readonly id: HandleId
  readonly ino: Ino
  readonly flags: number
  /** The write of others that was read through it. */
  seen: number | undefined
}

class Overlaps {
  readonly #mount: VfsMount
  readonly #delays: readonly number[]
  readonly #handles = new Set<Handle>()
  /** Of writes of others. */
  readonly #foreign = new Set<number>()
  #last = 0
  #requests = 0
  /** Renames under way: each may replace what a commit is compared with. */
  #moving = 0
  readonly problems: string[] = []

  constructor(mount: VfsMount, delays: readonly number[]) {
    this.#mount = mount
    this.#delays = delays
    const before = new Map<Request, Words | undefined>()
    mount.counting.before = async (request) => {
      await this.#delay()
      if (!isContent(request)) return
      const words = await this.#look(request.name)
      if (this.#moving === 0) before.set(request, words)
    }
    mount.counting.after = async (request) => {
      if (isContent(request)) this.#compare(before.get(request), await this.#look(request.name))
      await this.#delay()
    }
  }

  /** What was written here was given up, and is not read any more. */
  readonly forget = (): void => {
    for (const handle of this.#handles) handle.seen = undefined
  }

  async run(programs: readonly (readonly Step[])[]): Promise<void> {
    let isDone = false
    const work = Promise.all(programs.map((steps) => this.#program(steps))).finally(() => {
      isDone = true
    })
    for (let turn = 1; !isDone && turn < 200_000; turn++) {
      await setImmediate()
      if (turn % 200 === 0) await this.#mount.clock.advance(1000)
    }
    if (!isDone) throw new Error('a call does not end')
    await work
    await this.#mount.vfs.close()
    if (this.problems.length > 0) throw new Error(this.problems.join('\n'))
  }

  async #program(steps: readonly Step[]): Promise<void> {
    const handles: Handle[] = []
    for (const each of steps) await this.#expecting(this.#take(each, handles))
    for (const handle of handles) await this.#expecting(this.#close(handle))
  }

  async #expecting(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      const { code = '', syscall } = error as NodeJS.ErrnoException
      // Others removed a copy that a rename had just made.
      const isTaken = code === 'EIO' && syscall === 'rename'
      if (!expected.has(code) && !isTaken) this.problems.push(String((error as Error).stack))
      this.forget()
    }
  }

  async #take(step: Step, handles: Handle[]): Promise<void> {
    if ('which' in step) return this.#withHandle(step, handles)
    const { vfs, account } = this.#mount
    switch (step.kind) {
      case 'put':
        return this.#put(step.name, step.size)
      case 'delete':
        await account.delete({ container: 'box', name: step.name })
        return
      case 'open':
      case 'create':
        return this.#open(step, handles)
      case 'chmod':
        await vfs.setattr(await this.#mount.ino(step.name), { mode: 0o640 }, caller)
        return
      case 'stat':
        await this.#mount.stat(step.name)
        return
      case 'rename':
        return this.#rename(step.name, step.to)
      case 'moveDirectory':
        await this.#rename('d', 'x')
        return this.#rename('x', 'd')
      case 'unlink':
        return this.#mount.unlink(step.name)
      case 'list':
        await this.#mount.list('d')
        return
      default:
        step satisfies never
    }
  }

  async #rename(from: string, to: string): Promise<void> {
    if (from === to) return
    this.#moving++
    try {
      await this.#mount.rename(from, to)
    } finally {
      this.#moving--
    }
  }

  async #put(name: string, size: number): Promise<void> {
    this.#foreign.add(++this.#last)
    const words = new Array(size + 1).fill(this.#last)
    await this.#mount.account.put({ container: 'box', name }, bytesOf(words))
  }

  async #open(step: Extract<Step, { kind: 'open' | 'create' }>, handles: Handle[]): Promise<void> {
    const [ino, id] =
      step.kind === 'open'
        ? await this.#openPresent(step.name, step.flags)
        : [await this.#mount.ino(step.name), await this.#mount.create(step.name, O_RDWR)]
    const made = step.kind === 'open' ? step.flags : O_RDWR
    const handle = { id, ino, flags: made, seen: undefined }
    handles.push(handle)
    this.#handles.add(handle)
  }

  async #openPresent(name: string, flags: number): Promise<[Ino, HandleId]> {
    const ino = await this.#mount.ino(name)
    const { handle } = await this.#mount.vfs.open(ino, flags, caller)
    return [ino, handle]
  }

  async #withHandle(step: Extract<Step, { which: number }>, handles: Handle[]): Promise<void> {
    const able = handles.filter(({ flags }) => {
      if (step.kind === 'read') return (flags & 3) !== O_WRONLY
      return step.kind === 'close' || (flags & 3) !== O_RDONLY
    })
    const handle = able[step.which % Math.max(able.length, 1)]
    if (handle === undefined) return
    const { vfs } = this.#mount
    if (step.kind === 'read') await this.#read(handle)
    else if (step.kind === 'write') {
      const words = new Array(10).fill(++this.#last)
      await this.#mount.write(handle.id, step.size * 4, bytesOf(words))
    } else if (step.kind === 'truncate') {
      const change = { handle: handle.id, sizeBytes: step.size * 4 }
      await vfs.setattr(handle.ino, change, caller)
    } else if (step.kind === 'fsync') await vfs.fsync(handle.id, false, caller)
    else {
      handles.splice(handles.indexOf(handle), 1)
      await this.#close(handle)
    }
  }

  async #close(handle: Handle): Promise<void> {
    this.#handles.delete(handle)
    await this.#mount.close(handle.id)
  }

  async #read(handle: Handle): Promise<void> {
    const words = wordsOf(await this.#mount.read(handle.id, 0, 1000))
    const [theirs] = this.#theirsOf(words, 'read')
    if (theirs === undefined) return
    if (handle.seen !== undefined && handle.seen !== theirs) {
      this.problems.push(`read ${handle.seen}, and then ${words.join()}`)
    }
    handle.seen = theirs
  }

  #theirsOf(words: Words, what: string): number[] {
    const theirs = [...new Set(words.filter((word) => this.#foreign.has(word)))]
    if (theirs.length > 1) this.problems.push(`${what}: ${words.join()}`)
    return theirs
  }

  /** What a commit replaced is what it had begun with. */
  #compare(before: Words | undefined, words: Words | undefined): void {
    if (words !== undefined) this.#theirsOf(words, 'stored')
    if (before === undefined || words === undefined || this.#moving > 0) return
    const [theirs = 0] = this.#theirsOf(before, 'stored')
    const isKept = (word: number, at: number) => word === before[at] || word > theirs || word === 0
    if (!words.every(isKept)) this.problems.push(`${before.join()} replaced by ${words.join()}`)
  }

  async #look(name: string): Promise<Words | undefined> {
    const blob = await this.#mount.account.get({ container: 'box', name }).catch(() => undefined)
    return blob && wordsOf(blob.data)
  }

  async #delay(): Promise<void> {
    const turns = this.#delays[this.#requests++ % this.#delays.length] ?? 0
    for (let turn = 0; turn < turns; turn++) await setImmediate()
  }
}

/** Whether it may replace a file of these. */
function isContent({ verb, name }: Request): boolean {
  return (verb === 'put' || verb === 'commitBlocks') && names.some((each) => each === name)
}

/** What may be told of names that others take at the same time. */
const expected = new Set(['ESTALE', 'ENOENT', 'EBUSY', 'ENOTEMPTY', 'EEXIST'])

for (const [account, options] of Object.entries(modelMountsAndCached)) {
  t.test(`programs that overlap mix nothing on ${account}`, async (t) => {
    const seed = modelSeed(t)
    const steps = fc.array(step, { maxLength: 25, size: 'max' })
    const delays = fc.array(fc.nat({ max: 6 }), { minLength: 1, maxLength: 20, size: 'max' })
    const programs = fc.tuple(steps, steps, steps)
    const property = fc.asyncProperty(programs, delays, async (programs, delays) => {
      const mount = await mountForModel(t, options)
      await mount.mkdir('d')
      const overlaps = new Overlaps(mount, delays)
      faultChannel.subscribe(overlaps.forget)
      try {
        await overlaps.run(programs)
      } finally {
        faultChannel.unsubscribe(overlaps.forget)
      }
    })
    await fc.assert(property, { seed, numRuns })
    t.pass(`${numRuns} runs`)
  })
}
