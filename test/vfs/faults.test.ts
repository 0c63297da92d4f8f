import { constants, readdirSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { FileSystemError, isFileSystemError } from '../../src/errors.ts'
import type { FaultEffect } from '../../src/storage-server/control/fault-rule.ts'
import { rootIno } from '../../src/vfs/operations.ts'
import { type FaultyAccount, faultyAccount } from '../support/faulty-account.ts'
import { patternOf } from '../support/pattern.ts'
import { caller, VfsMount } from '../support/vfs-mount.ts'

// What the sandbox's engine can do wrong, at each kind of request that the drive makes: once with the request
// lost, and, where it changes something, once with its answer lost.

/** The errno that a caller of the drive gets when it lasts. */
const effects: readonly (readonly [name: string, effect: FaultEffect, codes: readonly string[]])[] =
  [
    ['400', { kind: 'status', status: 400 }, ['EINVAL']],
    ['401', { kind: 'status', status: 401 }, ['EACCES']],
    ['403', { kind: 'status', status: 403 }, ['EACCES']],
    ['404', { kind: 'status', status: 404, code: 'ContainerNotFound' }, ['ENOENT', 'ESTALE']],
    ['409', { kind: 'status', status: 409 }, ['EBUSY']],
    ['412', { kind: 'status', status: 412 }, ['ESTALE']],
    ['429', { kind: 'status', status: 429 }, ['EIO']],
    ['500', { kind: 'status', status: 500 }, ['EIO']],
    ['503', { kind: 'status', status: 503 }, ['EIO']],
    ['no answer', { kind: 'reset' }, ['EIO']],
    ['silence', { kind: 'stall' }, ['ETIMEDOUT']],
    ['a reset in the body', { kind: 'resetInBody' }, ['EIO']],
    ['a short body', { kind: 'truncate' }, ['EIO']],
    ['a stall in the body', { kind: 'stallInBody' }, ['ETIMEDOUT', 'EIO']],
  ]
const bodyEffects = ['resetInBody', 'truncate', 'stallInBody']

const old = patternOf(200 * KiB)
const fresh = Buffer.from(old).reverse()

/** A call of a program, and what of it meets the fault. */
interface Call {
  readonly name: string
  readonly verb: string
  readonly nth: number
  readonly hasBody?: boolean
  /** The content that `f` has when it succeeds; `undefined`: none. Absent: it changes nothing. */
  readonly makes?: Buffer | undefined
  readonly run: (mount: VfsMount) => Promise<unknown>
}

async function rewrite(mount: VfsMount, content: Buffer): Promise<void> {
  const handle = await mount.open('f', constants.O_WRONLY | constants.O_TRUNC)
  try {
    await mount.write(handle, 0, content)
    await mount.vfs.flush(handle, caller)
  } finally {
    await mount.vfs.release(handle, caller)
  }
}

const small = Buffer.from('small')
const calls: readonly Call[] = [
  {
    name: 'close of a small file',
    verb: 'PutBlob',
    nth: 1,
    makes: small,
    run: (mount) => rewrite(mount, small),
  },
  {
    name: 'a block of a large file',
    verb: 'PutBlock',
    nth: 2,
    makes: fresh,
    run: (mount) => rewrite(mount, fresh),
  },
  {
    name: 'close of a large file',
    verb: 'PutBlockList',
    nth: 1,
    makes: fresh,
    run: (mount) => rewrite(mount, fresh),
  },
  {
    name: 'unlink',
    verb: 'DeleteBlob',
    nth: 1,
    makes: undefined,
    run: (mount) => mount.unlink('f'),
  },
  {
    name: 'open to write',
    verb: 'GetBlobProperties',
    nth: 1,
    async run(mount) {
      await mount.list('')
      await mount.close(await mount.open('f', constants.O_WRONLY))
    },
  },
  {
    name: 'stat of a name that no listing tells',
    verb: 'GetBlobProperties',
    nth: 1,
    async run(mount) {
      const found = await mount.vfs.lookup(rootIno, 'f', caller)
      if (found.kind === 'absent') throw new FileSystemError('ENOENT', 'lookup')
      const { sizeBytes } = found.attributes
      if (sizeBytes !== old.length) throw new TypeError(`stat gave ${sizeBytes} bytes`)
    },
  },
  {
    name: 'read',
    verb: 'GetBlob',
    nth: 1,
    hasBody: true,
    async run(mount) {
      const handle = await mount.open('f')
      try {
        const bytes = await mount.read(handle)
        if (!bytes.equals(old)) throw new TypeError('read gave other bytes')
      } finally {
        await mount.close(handle)
      }
    },
  },
  {
    name: 'ls',
    verb: 'ListBlobs',
    nth: 1,
    hasBody: true,
    async run(mount) {
      const names = await mount.list('')
      if (names.join() !== 'f') throw new TypeError(`ls gave ${names.join()}`)
    },
  },
]

for (const call of calls) {
  t.test(`faults at ${call.name}`, async (t) => {
    t.jobs = 6
    const before = openFiles()
    const changes = 'makes' in call
    const cases = effects
      .filter(([, { kind }]) => call.hasBody === true || !bodyEffects.includes(kind))
      .flatMap(([name, effect, codes]) => [
        t.test(`${name}, as long as it lasts`, { buffered: true }, (t) =>
          underFault(t, call, { effect, codes }),
        ),
        ...(changes
          ? [
              t.test(`${name} for an answer`, { buffered: true }, (t) =>
                lostAnswer(t, call, effect),
              ),
            ]
          : []),
      ])
    await Promise.all(cases)
    t.strictSame(openFiles(), before, 'no descriptor of a file is left')
  })
}

/** A request that never takes effect. */
async function underFault(
  t: Test,
  { verb, nth, run }: Call,
  { effect, codes }: { readonly effect: FaultEffect; readonly codes: readonly string[] },
): Promise<void> {
  const { account, mount, journal } = await prepare(t, effect)
  account.control.replaceFaults([{ verb, nth, effect }])

  const failure = await inTime(t, account, run(mount))

  if (!isFileSystemError(failure)) throw new Error('expected an errno', { cause: failure })
  t.ok(codes.includes(failure.code), `${failure.code}: ${failure.message}`)
  // Where faults end, what was stalled goes on.
  if (verb === 'GetBlob') account.control.replaceFaults([])
  t.ok((await content(mount))?.equals(old), 'the version before is whole')
  if (verb.startsWith('Put')) t.match(keptIn(journal), [/\.data$/], 'what was written is kept')
}

/** A request that is done, and whose first answer never arrives. */
async function lostAnswer(t: Test, call: Call, effect: FaultEffect): Promise<void> {
  const { account, mount } = await prepare(t, effect)
  const { verb, nth, makes, run } = call
  account.control.replaceFaults([{ verb, nth, count: 1, runsVerb: true, effect }])

  const failure = await inTime(t, account, run(mount))

  account.control.replaceFaults([])
  const stored = await content(mount)
  const isMade = makes === undefined ? stored === undefined : stored?.equals(makes) === true
  if (failure === undefined) t.ok(isMade, 'success is the truth')
  else t.ok(isMade || stored?.equals(old), 'one version or the other, whole')
}

async function prepare(
  t: Test,
  effect: FaultEffect,
): Promise<{
  readonly account: FaultyAccount
  readonly mount: VfsMount
  readonly journal: string
}> {
  const phaseMs = effect.kind.startsWith('stall') ? 750 : undefined
  const account = await faultyAccount(t, { phaseMs })
  await account.store.put({ container: 'box', name: 'f' }, old)
  const journal = t.testdir()
  const options = { blockBytes: 64 * KiB, journalDirectory: journal }
  return { account, journal, mount: await VfsMount.make(t, { ...options, account: account.store }) }
}

/** Three attempts for each of four blocks, and what is asked beside them: a commit looks whether it was done. */
const maxRequests = 18
/** Two waits of 200 and 400 ms at most for each of them. */
const maxBackOffMs = 5000

/**
 * What `work` fails with, in bounded time on a machine of any speed: it sends no more requests, each of which the transport
 * ends, and waits no longer between them.
 */
async function inTime(
  t: Test,
  { control, backOffMs }: FaultyAccount,
  work: Promise<unknown>,
): Promise<unknown> {
  const requests = () =>
    Object.values(control.ledger.counters()).reduce((sum, counted) => sum + counted.requests, 0)
  const before = { requests: requests(), backOffMs: backOffMs() }
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error,
  )
  const waitedMs = backOffMs() - before.backOffMs
  const sent = requests() - before.requests
  t.ok(waitedMs <= maxBackOffMs, `waits ${Math.round(waitedMs)} ms between requests`)
  t.ok(sent <= maxRequests, `${sent} requests`)
  return failure
}

async function content({ account }: VfsMount): Promise<Buffer | undefined> {
  try {
    return Buffer.from((await account.get({ container: 'box', name: 'f' })).data)
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}

function keptIn(journal: string): string[] {
  return readdirSync(join(journal, 'kept')).filter((name) => name.endsWith('.data'))
}

/** Descriptors of files and of nothing else, by what they are. */
function openFiles(): string[] {
  const targets = readdirSync('/proc/self/fd').map((name) => {
    try {
      return readlinkSync(`/proc/self/fd/${name}`)
    } catch {
      return ''
    }
  })
  return targets.filter((target) => target.startsWith('/') && /spool|kept|pending/.test(target))
}
