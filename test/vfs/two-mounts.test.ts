import { constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { isFileSystemError } from '../../src/errors.ts'
import { Journals } from '../../src/vfs/journals.ts'
import type { HandleId } from '../../src/vfs/operations.ts'
import { randomFrom } from '../posix/random-calls.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { faultyAccount } from '../support/faulty-account.ts'
import {
  caller,
  listingTtlMs,
  newAccount,
  newHierarchicalAccount,
  VfsMount,
} from '../support/vfs-mount.ts'

// Two mounts, each with caches and a journal of its own, over one storage server.

interface Machine {
  readonly mount: VfsMount
  readonly journal: string
}

async function twoMachines(t: Test): Promise<readonly Machine[]> {
  const { store } = await faultyAccount(t)
  await store.put({ container: 'box', name: 'f' }, Buffer.from('begin'))
  const at = t.testdir()
  return Promise.all(
    ['a', 'b'].map(async (name) => {
      const journal = join(at, name)
      return {
        journal,
        mount: await VfsMount.make(t, { account: store, journalDirectory: journal }),
      }
    }),
  )
}

type Outcome =
  | { readonly kind: 'stored'; readonly seen: string }
  /** write(2) took nothing: there is nothing to keep. */
  | { readonly kind: 'refused' }
  | { readonly kind: 'conflict' }

/** Adds `word` to what the file is. */
async function append(mount: VfsMount, word: string, pauseMs: number): Promise<Outcome> {
  const handle = await mount.open('f', constants.O_RDWR)
  let isTaken = false
  try {
    const seen = (await mount.read(handle)).toString()
    await setTimeout(pauseMs)
    await mount.write(handle, seen.length, word)
    isTaken = true
    await mount.close(handle)
    return { kind: 'stored', seen }
  } catch (error) {
    if (!isFileSystemError(error, 'ESTALE')) throw error
    if (isTaken) return { kind: 'conflict' }
    await mount.close(handle).catch(() => undefined)
    return { kind: 'refused' }
  }
}

function keptIn(journal: string): string[] {
  const directory = join(journal, 'kept')
  if (!existsSync(directory)) return []
  const names = readdirSync(directory).filter((name) => name.endsWith('.data'))
  return names.map((name) => readFileSync(join(directory, name), 'utf8'))
}

t.test('every version descends from the one before, and who lost keeps the bytes', async (t) => {
  const seed = Date.now() % 2 ** 31
  t.comment(`seed ${seed}`)
  const random = randomFrom(seed)
  const machines = await twoMachines(t)
  const winners: { readonly seen: string; readonly word: string }[] = []
  const losers: string[] = []

  await Promise.all(
    machines.map(async ({ mount, journal }, machine) => {
      for (let round = 0; round < 25; round++) {
        const word = ` ${machine}.${round}`
        const kept = (): number => keptIn(journal).length
        const before = kept()
        const outcome = await append(mount, word, random(8))
        if (outcome.kind === 'stored') winners.push({ seen: outcome.seen, word })
        else losers.push(word)
        t.equal(kept(), before + (outcome.kind === 'conflict' ? 1 : 0), `${word}: ${outcome.kind}`)
        if (outcome.kind === 'conflict') {
          const isKept = keptIn(journal).some((content) => content.endsWith(word))
          t.ok(isKept, `${word} is kept with its bytes`)
        }
        await setTimeout(random(8))
      }
    }),
  )

  const [first] = machines
  const end = (await first?.mount.stored('f')) ?? ''
  let version = 'begin'
  for (const { seen, word } of winners.sort((a, b) => a.seen.length - b.seen.length)) {
    t.equal(seen, version, `${word} was written over the version before it`)
    version = seen + word
  }
  t.equal(end, version, 'no update is lost')
  t.equal(winners.length + losers.length, 50)
  t.ok(winners.length > 0 && losers.length > 0, 'there were conflicts')
})

t.test('what one machine has closed the other one opens', async (t) => {
  const [a, b] = (await twoMachines(t)).map(({ mount }) => mount)
  if (a === undefined || b === undefined) throw new TypeError('two')
  t.equal(await b.load('f'), 'begin')

  for (let round = 0; round < 10; round++) {
    await a.save('f', `a ${round}`)
    // What it has written or listed itself it believes for so long.
    await b.clock.advance(listingTtlMs + 1)
    t.equal(await b.load('f'), `a ${round}`)
    await b.save('f', `b ${round}`)
    await a.clock.advance(listingTtlMs + 1)
    t.equal(await a.load('f'), `b ${round}`)
  }
})

t.test('a reader has one version from its first read on, or ESTALE', async (t) => {
  const [a, b] = (await twoMachines(t)).map(({ mount }) => mount)
  if (a === undefined || b === undefined) throw new TypeError('two')
  const content = Buffer.alloc(2 ** 20, 'x')
  await a.save('f', content)
  const handle = await b.open('f')
  const head = await b.read(handle, 0, 10)
  await a.save('f', Buffer.alloc(2 ** 20, 'y'))

  for (let at = 0; at < 2 ** 20; at += 2 ** 18) {
    const part = await b.read(handle, at, at + 100).catch((error: unknown) => {
      if (!isFileSystemError(error, 'ESTALE')) throw error
    })
    if (part !== undefined) t.ok(part.equals(content.subarray(0, 100)), `at ${at}`)
  }
  t.equal(head.toString(), 'x'.repeat(10))
  await b.close(handle)
})

t.test(
  'a file that two machines made and neither wrote is one, and nothing is unsaved',
  async (t) => {
    const machines = await twoMachines(t)
    const handles: [VfsMount, HandleId][] = []
    for (const { mount } of machines) {
      handles.push([mount, await mount.create('lock')])
      await setTimeout(2)
    }

    for (const [mount, handle] of handles) await mount.close(handle)

    for (const { mount } of machines) {
      t.same(mount.vfs.unsaved, [])
      t.equal(await mount.load('lock'), '')
    }
  },
)

t.test('a file that was only made leaves the content of who made it too', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.storeElsewhere('f', 'theirs')

  await mount.close(handle)

  t.same(mount.vfs.unsaved, [])
  t.equal(await mount.load('f'), 'theirs')
})

/** As touch(1) of a name that is new to a machine: nothing is written, and a time is set. */
async function openToTouch(mount: VfsMount, mtimeNs: bigint): Promise<HandleId> {
  const handle = await mount.create('f', constants.O_WRONLY)
  await mount.vfs.setattr(await mount.ino('f'), { mtimeNs }, caller)
  return handle
}

for (const make of [newAccount, newHierarchicalAccount]) {
  for (const writeBack of [false, true]) {
    const where = `${make === newAccount ? 'flat' : 'hierarchical'}${writeBack ? ', write-back' : ''}`

    t.test(`two machines that touch one new name have one file (${where})`, async (t) => {
      const account = await make()
      const [a, b] = await Promise.all(
        [0, 1].map(() => VfsMount.make(t, { account, writeBack, onConflict: 'error' })),
      )
      if (a === undefined || b === undefined) throw new TypeError('two')
      const first = await openToTouch(a, 5n)
      const second = await openToTouch(b, 7n)

      await a.close(first)
      const { etag } = await account.head({ container: 'box', name: 'f' })
      await b.close(second)

      t.same(b.vfs.unsaved, [])
      t.equal((await b.stat('f')).mtimeNs, 7n)
      const other = await VfsMount.make(t, { account })
      t.equal((await other.stat('f')).mtimeNs, 7n, 'what the second set is set')
      t.not((await account.head({ container: 'box', name: 'f' })).etag, etag)
    })

    t.test(`a touch leaves what another machine wrote meanwhile (${where})`, async (t) => {
      const account = await make()
      const mount = await VfsMount.make(t, { account, writeBack })
      const handle = await openToTouch(mount, 7n)
      await mount.storeElsewhere('f', 'theirs')

      await mount.close(handle)

      t.same(mount.vfs.unsaved, [])
      t.equal(await mount.load('f'), 'theirs')
      t.equal((await mount.stat('f')).mtimeNs, 7n)
      const again = await mount.open('f', constants.O_WRONLY | constants.O_APPEND)
      await mount.write(again, 0, ' and mine')
      await mount.close(again)
      t.equal(await mount.stored('f'), 'theirs and mine')
    })

    t.test(`a touch of a name that became a directory loses nothing (${where})`, async (t) => {
      const account = await make()
      const mount = await VfsMount.make(t, { account, writeBack })
      const handle = await openToTouch(mount, 7n)
      const other = await VfsMount.make(t, { account })
      await other.mkdir('f')

      const closed = mount.close(handle)
      if (writeBack) await closed
      else await t.rejects(closed, { code: 'ESTALE', message: /made a directory of this name/ })

      t.same(mount.vfs.unsaved, [])
      t.same(await other.list('f'), [])
    })
  }
}

t.test('what O_EXCL made and set is told that somebody else was first', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f', constants.O_WRONLY | constants.O_EXCL)
  await mount.vfs.setattr(await mount.ino('f'), { mtimeNs: 7n }, caller)
  await mount.storeElsewhere('f', 'theirs')

  await t.rejects(mount.close(handle), { code: 'ESTALE' })

  t.equal(await mount.stored('f'), 'theirs')
})

t.test('what was cut to nothing after it was written is told of theirs', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'mine')
  await mount.vfs.setattr(await mount.ino('f'), { sizeBytes: 0, handle }, caller)
  await mount.storeElsewhere('f', 'theirs')

  await t.rejects(mount.close(handle), { code: 'ESTALE' })

  t.equal(await mount.stored('f'), 'theirs')
})

t.test('a touch of a name that is gone again makes it', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await openToTouch(mount, 7n)
  await mount.storeElsewhere('f', 'theirs')
  mount.before('head', async () => {
    await mount.account.delete({ container: 'box', name: 'f' }).catch(() => undefined)
  })

  await mount.vfs.flush(handle, caller)
  await mount.write(handle, 0, 'mine')
  await mount.close(handle)

  t.equal(await mount.stored('f'), 'mine')
})

t.test('truncate -s 0 of a new name leaves what another machine wrote', async (t) => {
  const mount = await VfsMount.make(t)
  const handle = await mount.create('f', constants.O_WRONLY)
  await mount.vfs.setattr(await mount.ino('f'), { sizeBytes: 0, handle }, caller)
  await mount.storeElsewhere('f', 'theirs')

  await mount.close(handle)

  t.equal(await mount.load('f'), 'theirs')
})

t.test('a touch that a crash kept from Azure is set of what others made', async (t) => {
  const directory = t.testdir()
  const clock = new FakeClock()
  const account = await newAccount()
  const dead = new Journals({ directory, clock, owner: 'dead' })
  const mount = await VfsMount.make(t, { account, journals: dead, writeBack: true })
  const handle = await openToTouch(mount, 7n)
  await mount.vfs.flush(handle, caller)
  await mount.storeElsewhere('f', 'theirs')

  const journals = new Journals({ directory, clock, owner: 'next', isAlive: () => false })
  const next = await VfsMount.make(t, { account, journals })

  t.match(await next.vfs.replay(), [{ outcome: 'stored', path: { name: 'f' } }])
  t.equal(await next.load('f'), 'theirs')
  t.equal((await next.stat('f')).mtimeNs, 7n)
  t.same(await journals.orphans(), [])
})
