/**
 * Programs of any calls, on a mount that writes back, whose process dies at any step on the disk or at the service: the
 * next mount has all that a call which returned has promised.
 */
import { constants } from 'node:fs'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { modelSeed } from '../support/model-mounts.ts'
import {
  type Asserting,
  absent,
  dieAndReplay,
  nothing,
  type Promises,
} from '../support/mortal-mount.ts'
import { isLongRun } from '../support/program.ts'
import { caller, newAccount, newHierarchicalAccount, type VfsMount } from '../support/vfs-mount.ts'

const { O_WRONLY, O_TRUNC } = constants
const numRuns = isLongRun ? 2000 : 60
const names = ['a', 'b', 'd/a', 'd/b'] as const
/** A rename or a removal of a larger one is not put off; bytes. */
const largeBytes = 1_100_000

const name = fc.constantFrom(...names)
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('save' as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('saveLarge' as const), name }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('edit' as const), name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('empty' as const), name }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('unlink' as const), name }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('rename' as const), name, to: name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('list' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('later' as const) }) },
)

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never
type NameStep = Extract<Step, { readonly name: string }>

/** What the program knows of its files: all calls that it made have returned. */
class Program {
  readonly #mount: VfsMount
  readonly #promises: Promises
  readonly #files = new Map<string, Buffer>()
  #written = 0

  constructor(mount: VfsMount, promises: Promises) {
    this.#mount = mount
    this.#promises = promises
  }

  async run(steps: readonly Step[], before: readonly string[]): Promise<void> {
    for (const name of before) this.#files.set(name, Buffer.from(name))
    for (const step of steps) {
      if ('name' in step) await this.#take(step)
      else if (step.kind === 'later') await this.#mount.clock.advance(150)
      else for (const directory of ['', 'd']) await this.#mount.list(directory)
    }
  }

  async #take(step: NameStep): Promise<void> {
    const { kind, name } = step
    const present = this.#files.get(name)
    if (kind === 'save') return this.#save(name, Buffer.from(`written ${++this.#written}`))
    if (kind === 'saveLarge') return this.#save(name, Buffer.alloc(largeBytes, ++this.#written))
    if (present === undefined) return
    if (kind === 'edit') await this.#edit(name, present)
    if (kind === 'empty') await this.#empty(name)
    if (kind === 'unlink') {
      await this.#promises.change({ [name]: absent }, () => this.#mount.unlink(name))
      this.#files.delete(name)
    }
    if (kind === 'rename' && step.to !== name) await this.#rename(name, step.to, present)
  }

  async #save(name: string, content: Buffer): Promise<void> {
    await this.#promises.change({ [name]: content }, () => this.#mount.save(name, content))
    this.#files.set(name, content)
  }

  async #edit(name: string, present: Buffer): Promise<void> {
    const handle = await this.#mount.open(name, O_WRONLY)
    const edit = `edited ${++this.#written}`
    const content = Buffer.alloc(Math.max(present.length, edit.length + 3))
    present.copy(content)
    content.write(edit, 3)
    await this.#mount.write(handle, 3, edit)
    await this.#promises.change({ [name]: content }, () => this.#mount.close(handle))
    this.#files.set(name, content)
  }

  async #empty(name: string): Promise<void> {
    const handle = await this.#mount.open(name, O_WRONLY | O_TRUNC)
    const sync = () => this.#mount.vfs.fsync(handle, false, caller)
    await this.#promises.change({ [name]: nothing }, sync)
    await this.#mount.close(handle)
    this.#files.set(name, nothing)
  }

  async #rename(from: string, to: string, content: Buffer): Promise<void> {
    const change = { [from]: absent, [to]: content }
    await this.#promises.change(change, () => this.#mount.rename(from, to))
    this.#files.delete(from)
    this.#files.set(to, content)
  }
}

/** As `t`, but what is wrong ends the run. */
function throwing(t: Test): Asserting {
  const ok = (value: unknown, message: string): void => {
    if (value !== true) throw new Error(message)
  }
  return {
    teardown: (work) => t.teardown(work),
    ok,
    strictSame: (found, wanted, message) =>
      ok(JSON.stringify(found) === JSON.stringify(wanted), message),
  }
}

const life = fc.record({
  lifetime: fc.integer({ min: 1, max: 60 }),
  last: fc.constantFrom('lost' as const, 'done' as const),
  writeBackQuietMs: fc.constantFrom(0, 100),
})

for (const [account, newStore] of [
  ['flat', newAccount],
  ['hierarchical', newHierarchicalAccount],
] as const) {
  t.test(`what any program was promised is kept on a ${account} account`, async (t) => {
    const seed = modelSeed(t)
    const steps = fc.array(step, { maxLength: 20, size: 'max' })
    const property = fc.asyncProperty(steps, life, fc.subarray([...names]), async (...given) => {
      const [steps, life, before] = given
      const run = (mount: VfsMount, promises: Promises): Promise<void> => {
        for (const name of names) if (!before.includes(name)) promises.promise(name, absent)
        return new Program(mount, promises).run(steps, before)
      }
      // A directory of its own: it is there whether or not a file is in it.
      const kept = ['d/kept', ...before]
      await dieAndReplay(throwing(t), run, { ...life, newStore, before: kept })
    })
    await fc.assert(property, { seed, numRuns })
    t.pass(`${numRuns} runs`)
  })
}
