/** Mounts whose process dies, and the next one, which has to keep what was promised. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BlobStore } from '../../src/blob/store.ts'
import { MiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import { Journals } from '../../src/vfs/journals.ts'
import type { Replayed } from '../../src/vfs/replay.ts'
import { batchingStore } from './batching-store.ts'
import { FakeClock } from './fake-clock.ts'
import { newAccount, type Teardown, VfsMount } from './vfs-mount.ts'

/** Of the mounts that die. */
const blockBytes = MiB

export function scratch(t: Teardown): string {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-journal-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Which step of a process is its last, and whether a request that is reaches the service. */
export interface Life {
  readonly lifetime: number
  readonly last: 'lost' | 'done'
  /** How long no file is closed before what the journal has is stored. */
  readonly writeBackQuietMs: number
  /** Files that are there already, each with its name for content. */
  readonly before?: readonly string[]
  /** Makes the account. Default: a flat one. */
  readonly newStore?: () => Promise<BlobStore>
}

/** A mount whose process dies at some step, on the disk or at the service. */
async function mortalMount(
  t: Teardown,
  place: { readonly account: BlobStore; readonly directory: string },
  life: Life,
): Promise<{ readonly mount: VfsMount; steps(): number }> {
  let steps = 0
  let giveUp = (): void => undefined
  const die = (): void => {
    steps += 1
    if (steps < life.lifetime) return
    // A dead process tries nothing again.
    giveUp()
    throw new FileSystemError('EINTR', 'death')
  }
  const { directory } = place
  const clock = new FakeClock()
  const journals = new Journals({ directory, clock, onStep: die, owner: 'dead' })
  const mortal = <T extends object>(service: T): T =>
    new Proxy(service, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key)
        if (key === 'hierarchy') return mortal(value as object)
        if (typeof value !== 'function') return value
        if (!writes.has(String(key))) return value.bind(target)
        return async (...args: unknown[]) => {
          const isLast = steps + 1 === life.lifetime && life.last === 'done'
          if (isLast) await Reflect.apply(value, target, args)
          die()
          return Reflect.apply(value, target, args)
        }
      },
    })
  const account: BlobStore = batchingStore(mortal(place.account))
  const { writeBackQuietMs } = life
  const options = { account, blockBytes, journals, writeBack: true, writeBackQuietMs }
  const mount = await VfsMount.make(t, options)
  giveUp = () => mount.vfs.giveUp()
  return { mount, steps: () => steps }
}

const writes: ReadonlySet<string> = new Set([
  'put',
  'stageBlock',
  'stageBlockFrom',
  'commitBlocks',
  'getBlocks',
  'setMetadata',
  'copy',
  'delete',
  'createDirectory',
  'deletePath',
  'rename',
  'setAccessControl',
])

export const nothing = Buffer.alloc(0)
export const folder = Buffer.from('directory')
export const absent = Buffer.from('absent')
export const big = Buffer.alloc(2 * MiB + 100, 'b')

/** What was promised of each name: any of these may be found there. */
export class Promises {
  readonly all = new Map<string, Buffer[]>()

  promise(name: string, content: Buffer): void {
    this.all.set(name, [content])
  }

  /** From here on either may be found. */
  began(name: string, content: Buffer): void {
    this.all.set(name, [...(this.all.get(name) ?? [absent]), content])
  }

  /** What names are to have once `change` has returned. */
  async change(names: Record<string, Buffer>, change: () => Promise<unknown>): Promise<void> {
    for (const [name, content] of Object.entries(names)) this.began(name, content)
    await change()
    for (const [name, content] of Object.entries(names)) this.promise(name, content)
  }
}

export type Program = (mount: VfsMount, promises: Promises) => Promise<void>

/** What is wrong is told to these. */
export interface Asserting extends Teardown {
  ok(value: unknown, message: string): unknown
  strictSame(found: unknown, wanted: unknown, message: string): unknown
}

/** Whether the program got so far as to die. */
export async function dieAndReplay(t: Asserting, program: Program, life: Life): Promise<boolean> {
  const directory = scratch(t)
  const account = await (life.newStore ?? newAccount)()
  await account.put({ container: 'box', name: 'big' }, big)
  const promises = new Promises()
  promises.promise('big', big)
  for (const name of life.before ?? []) {
    await account.put({ container: 'box', name }, Buffer.from(name))
    promises.promise(name, Buffer.from(name))
  }
  const { mount, steps } = await mortalMount(t, { account, directory }, life)
  const running = program(mount, promises).catch((error: unknown) => error)
  await running
  await mount.vfs.close().catch(() => undefined)
  if (steps() < life.lifetime) return false

  const clock = new FakeClock()
  const journals = new Journals({ directory, clock, owner: 'next', isAlive: () => false })
  const next = await VfsMount.make(t, { account, journals, blockBytes })
  const replayed = await next.vfs.replay()

  const title = `death at step ${life.lifetime}`
  const isDone = ({ outcome, path }: Replayed): boolean => {
    if (outcome === 'stored' || outcome === 'removed') return true
    // Dead between the removal of a file and that of what was promised of it: that is kept for its owner.
    return outcome === 'conflict' && promises.all.get(path.name)?.includes(absent) === true
  }
  const others = replayed.filter((each) => !isDone(each))
  t.ok(others.length === 0, `${title}: all is stored or removed: ${JSON.stringify(others)}`)
  for (const [name, versions] of promises.all) {
    const found = await next.account.get({ container: 'box', name }).catch(() => undefined)
    const isFolder = found?.properties.metadata?.['hdi_isfolder'] === 'true'
    const bytes = isFolder ? folder : found && Buffer.from(found.data)
    t.ok(
      versions.some((version) =>
        bytes === undefined ? version === absent : bytes.equals(version),
      ),
      `${title}: ${name} is ${bytes?.toString().slice(0, 80)}`,
    )
  }
  t.strictSame(await journals.orphans(), [], `${title}: the journal is empty`)
  return true
}
