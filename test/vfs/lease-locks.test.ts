import { constants, existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { AzureAdministration } from '../../src/blob/azure-administration.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { systemClock } from '../../src/clock.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import { type FaultEvent, faultChannel } from '../../src/telemetry.ts'
import type { CallContext, FlockRequest, HandleId } from '../../src/vfs/operations.ts'
import { type FaultyAccount, faultyAccount } from '../support/faulty-account.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'
import { ScriptedProvider } from '../support/scripted-provider.ts'
import { caller, VfsMount } from '../support/vfs-mount.ts'

// Two mounts, as of two machines, whose flock(2) locks are leases of blobs on one storage server.

const exclusive = { kind: 'exclusive', waits: false } as const
const shared = { kind: 'shared', waits: false } as const
const waiting = { kind: 'exclusive', waits: true } as const
const none = { kind: 'none', waits: false } as const

interface Machines {
  readonly a: VfsMount
  readonly b: VfsMount
  readonly account: FaultyAccount
  /** Where `a` keeps what it could not store. */
  readonly journal: string
}

async function twoMachines(t: Test): Promise<Machines> {
  const account = await faultyAccount(t)
  await account.store.put({ container: 'box', name: 'f' }, Buffer.from('begin'))
  const at = t.testdir()
  const mount = async (name: string): Promise<VfsMount> => {
    const made = await VfsMount.make(t, {
      account: account.store,
      leases: account.administration,
      journalDirectory: join(at, name),
    })
    t.teardown(() => made.vfs.close())
    return made
  }
  return { a: await mount('a'), b: await mount('b'), account, journal: join(at, 'a') }
}

async function flock(
  { vfs }: VfsMount,
  handle: HandleId,
  request: FlockRequest,
  context: CallContext = caller,
): Promise<void> {
  if (vfs.flock === undefined) throw new TypeError('locks are local')
  await vfs.flock(handle, request, context)
}

const { O_RDWR } = constants

t.test(
  'an exclusive lock of one machine keeps the other from locking and from writing',
  async (t) => {
    const { a, b } = await twoMachines(t)
    const mine = await a.open('f', O_RDWR)
    const theirs = await b.open('f', O_RDWR)
    await flock(a, mine, exclusive)

    await t.rejects(flock(b, theirs, exclusive), { code: 'EAGAIN' })
    await t.rejects(flock(b, theirs, shared), { code: 'EAGAIN' }, 'nor to share it')
    await b.write(theirs, 0, 'B')
    await t.rejects(b.vfs.flush(theirs, caller), { code: 'EBUSY' }, 'who does not lock, is refused')
    await a.write(mine, 0, 'A')
    await a.vfs.fsync(mine, false, caller)
    t.equal(await a.stored('f'), 'Aegin', 'who holds it, writes')
    await a.close(mine)
    await flock(b, await b.open('f', O_RDWR), exclusive)
  },
)

t.test('a lock in hand is the key to every kind of change', async (t) => {
  const { a, account } = await twoMachines(t)
  const large = Buffer.alloc(20 * MiB, 'x')
  await account.store.put({ container: 'box', name: 'large' }, large)
  const handle = await a.open('large', O_RDWR)
  await flock(a, handle, exclusive)

  await a.write(handle, 10 * MiB, 'edited')
  await a.vfs.fsync(handle, false, caller)
  await a.vfs.setattr(await a.ino('large'), { mode: 0o600 }, caller)
  await a.vfs.fsync(handle, false, caller)
  await a.vfs.setxattr(
    await a.ino('large'),
    'user.colour',
    { value: Buffer.from('red'), create: false, replace: false },
    caller,
  )

  const { metadata, leaseState } = await account.store.head({ container: 'box', name: 'large' })
  t.match(metadata, { permissions: String(0o100600), colour: 'red' })
  t.equal(leaseState, 'leased')
  await a.write(handle, 0, Buffer.alloc(17 * MiB, 'y'))
  await a.close(handle)
  t.equal((await account.store.head({ container: 'box', name: 'large' })).leaseState, 'available')
})

t.test('who waits for a lock goes on in what was written under it', async (t) => {
  const { a, b } = await twoMachines(t)
  const mine = await a.open('f', O_RDWR)
  const theirs = await b.open('f', O_RDWR)
  t.equal((await b.read(theirs)).toString(), 'begin', 'what was there before')
  await flock(a, mine, exclusive)
  let isLocked = false
  const locked = flock(b, theirs, waiting).then(() => {
    isLocked = true
  })

  await a.write(mine, 5, ' middle')
  t.equal(isLocked, false)
  await flock(a, mine, none)
  while (!isLocked) {
    await b.clock.advance(1500)
    await setTimeout(10)
  }
  await locked

  t.equal((await b.read(theirs)).toString(), 'begin middle', 'unlocking stores')
  await b.write(theirs, 12, ' end')
  await b.close(theirs)
  t.equal(await b.stored('f'), 'begin middle end')
  await a.close(mine)
})

t.test('counters that two machines increase under locks lose nothing', async (t) => {
  const account = await faultyAccount(t)
  await account.store.put({ container: 'box', name: 'counter' }, Buffer.from('0'))
  const machine = async (): Promise<void> => {
    const options = { account: account.store, leases: account.administration, clock: systemClock }
    const mount = await VfsMount.make(t, options)
    for (let round = 0; round < 5; round++) {
      const handle = await mount.open('counter', O_RDWR)
      await flock(mount, handle, waiting)
      const count = Number((await mount.read(handle)).toString())
      await setTimeout(5)
      await mount.write(handle, 0, String(count + 1))
      await flock(mount, handle, none)
      await mount.close(handle)
    }
    await mount.vfs.close()
  }

  await Promise.all([machine(), machine()])

  const { data } = await account.store.get({ container: 'box', name: 'counter' })
  t.equal(Buffer.from(data).toString(), '10')
})

t.test('shared locks of one machine admit each other and no exclusive one', async (t) => {
  const { a, b } = await twoMachines(t)
  const [first, second, third] = [await a.open('f'), await a.open('f'), await a.open('f', O_RDWR)]
  await flock(a, first, shared)
  await flock(a, second, shared)
  await t.rejects(flock(a, third, exclusive), { code: 'EAGAIN' })

  await flock(a, first, none)
  await a.close(second)
  await flock(a, third, exclusive)
  await t.rejects(flock(a, first, shared), { code: 'EAGAIN' })
  await flock(a, third, shared)
  await flock(a, first, shared)
  const elsewhere = await b.open('f', O_RDWR)
  await flock(b, elsewhere, exclusive)
  t.pass('a shared lock is known to its machine alone')
})

t.test('of two machines that make one lock file both lock the same', async (t) => {
  const { a, b } = await twoMachines(t)
  t.strictSame([await a.list(''), await b.list('')], [['f'], ['f']], 'neither knows of the other')
  const mine = await a.create('run.lock')
  const theirs = await b.create('run.lock')

  await flock(a, mine, exclusive)
  await t.rejects(flock(b, theirs, exclusive), { code: 'EAGAIN' })
  await a.write(mine, 0, 'pid 1')
  await a.close(mine)
  await flock(b, theirs, exclusive)

  t.equal((await b.read(theirs)).toString(), 'pid 1')
  await b.close(theirs)
  t.equal(await a.stored('run.lock'), 'pid 1')
})

t.test('a lock is kept by renewing it', async (t) => {
  const { a, b, account } = await twoMachines(t)
  const mine = await a.open('f', O_RDWR)
  await flock(a, mine, exclusive)

  for (let round = 0; round < 10; round++) {
    const sleeping = a.clock.sleeping
    await account.clock.advance(20_000)
    await a.clock.advance(20_000)
    while (a.clock.sleeping < sleeping) await setTimeout(5)
  }

  await t.rejects(flock(b, await b.open('f', O_RDWR), exclusive), { code: 'EAGAIN' })
  await a.write(mine, 0, 'A')
  await a.close(mine)
  t.equal(await a.stored('f'), 'Aegin')
})

t.test(
  'after a lock was lost writing fails, what was written is kept, and the log says so',
  async (t) => {
    const { a, b, account, journal } = await twoMachines(t)
    const faults: FaultEvent[] = []
    const onFault = (message: unknown): void => void faults.push(message as FaultEvent)
    faultChannel.subscribe(onFault)
    t.teardown(() => faultChannel.unsubscribe(onFault))
    const mine = await a.open('f', O_RDWR)
    await flock(a, mine, exclusive)
    await a.write(mine, 5, ' of mine')

    // The machine slept: its lease ended, and another has one.
    await account.clock.advance(61_000)
    const theirs = await b.open('f', O_RDWR)
    await flock(b, theirs, exclusive)
    await b.write(theirs, 0, 'B')
    await a.clock.advance(20_000)
    while (faults.length === 0) await setTimeout(5)

    t.match(faults[0], { operation: 'flock', error: { code: 'ESTALE', message: /lock was lost/ } })
    await t.rejects(a.write(mine, 0, 'x'), { code: 'ESTALE' })
    await t.rejects(a.close(mine), { code: 'ESTALE' })
    const kept = join(journal, 'kept')
    const [data = ''] = existsSync(kept) ? readdirSync(kept).filter((n) => n.endsWith('.data')) : []
    t.equal(readFileSync(join(kept, data), 'utf8'), 'begin of mine')
    await b.close(theirs)
    t.equal(await b.stored('f'), 'Begin', 'nothing of it is stored over theirs')

    const again = await a.open('f', O_RDWR)
    await flock(a, again, exclusive)
    await a.write(again, 0, 'A')
    await a.close(again)
    t.equal(await a.stored('f'), 'Aegin', 'a lock that is taken anew is as good as any')
  },
)

t.test('renaming and removing a locked file end the lock for other machines', async (t) => {
  const { a, b, account } = await twoMachines(t)
  await flock(a, await a.open('f', O_RDWR), exclusive)
  await a.rename('f', 'g')
  t.equal((await account.store.head({ container: 'box', name: 'g' })).leaseState, 'available')
  await flock(a, await a.open('g', O_RDWR), { ...exclusive, waits: false }).catch(() => undefined)
  await a.unlink('g')
  t.equal(await a.stored('g'), undefined)
  await t.rejects(b.open('g'), { code: 'ENOENT' })
})

t.test('who waits for a lock can be interrupted, and holds nothing', async (t) => {
  const { a, b } = await twoMachines(t)
  const mine = await a.open('f', O_RDWR)
  const second = await a.open('f', O_RDWR)
  const theirs = await b.open('f', O_RDWR)
  await flock(a, mine, exclusive)
  const interruption = new AbortController()
  const context = { ...caller, signal: interruption.signal }
  const reason = new Error('interrupted')
  const calls = [flock(a, second, waiting, context), flock(b, theirs, waiting, context)]
  const ends = calls.map((call) => t.rejects(call, { message: 'interrupted' }))
  await setTimeout(50)
  interruption.abort(reason)
  await Promise.all(ends)

  await flock(a, mine, none)
  await flock(b, theirs, exclusive)
  await t.rejects(flock(a, second, exclusive), { code: 'EAGAIN' }, 'b has it')
})

t.test('a read-only mount locks nothing exclusively', async (t) => {
  const account = await faultyAccount(t)
  await account.store.put({ container: 'box', name: 'f' }, Buffer.from('begin'))
  const leases = account.administration
  const mount = await VfsMount.make(t, { account: account.store, leases, readOnly: true })
  const handle = await mount.open('f')

  await t.rejects(flock(mount, handle, exclusive), { code: 'EROFS' })
  await flock(mount, handle, shared)
  await mount.close(handle)
})

t.test('a locked file is not replaced by a large one on a hierarchical account', async (t) => {
  const { store, hierarchyOf, http } = await hierarchicalServer(t)
  await store.createContainer('box')
  await store.put({ container: 'box', name: 'f' }, Buffer.from('begin'))
  const endpoint = new URL(store.endpoint ?? '')
  const { account } = store
  const credentials = new ScriptedProvider()
  const access = { account, endpoint, http, clock: systemClock, credentials }
  const mount = await VfsMount.make(t, {
    account: store,
    namespace: new Namespace({ store, hierarchyOf }),
    leases: new AzureAdministration(access),
    blockBytes: 64 * KiB,
  })
  const handle = await mount.open('f', O_RDWR)
  await flock(mount, handle, exclusive)

  await mount.write(handle, 0, 'small')
  await mount.vfs.fsync(handle, false, caller)
  await mount.write(handle, 0, 'x'.repeat(200 * KiB))
  await t.rejects(mount.vfs.flush(handle, caller), { code: 'EBUSY', message: /unlock it first/ })

  t.equal(await mount.stored('f'), 'small')
  await flock(mount, handle, none).catch(() => undefined)
  await mount.vfs.fsync(handle, false, caller)
  await mount.close(handle)
  t.equal(await mount.stored('f'), 'x'.repeat(200 * KiB), 'once it is unlocked it is')
})
