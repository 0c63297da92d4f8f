import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { isFileSystemError } from '../../src/errors.ts'
import type { FaultEffect } from '../../src/storage-server/control/fault-rule.ts'
import { type FaultyAccount, faultyAccount } from '../support/faulty-account.ts'

/** All that the sandbox's engine can do, once and for ever. */
const effects: readonly (readonly [name: string, effect: FaultEffect, codes: readonly string[]])[] =
  [
    ['408', { kind: 'status', status: 408, code: 'OperationTimedOut' }, ['ETIMEDOUT']],
    ['429', { kind: 'status', status: 429 }, ['EIO']],
    ['429 with a pause', { kind: 'status', status: 429, retryAfterSeconds: 1 }, ['EIO']],
    ['500', { kind: 'status', status: 500 }, ['EIO']],
    ['502', { kind: 'status', status: 502, code: 'BadGateway' }, ['EIO']],
    ['503', { kind: 'status', status: 503 }, ['EIO']],
    ['504', { kind: 'status', status: 504, code: 'GatewayTimeout' }, ['EIO']],
    ['401', { kind: 'status', status: 401 }, ['EACCES']],
    ['403', { kind: 'status', status: 403 }, ['EACCES']],
    ['404', { kind: 'status', status: 404, code: 'ContainerNotFound' }, ['ENOENT']],
    ['409', { kind: 'status', status: 409 }, ['EBUSY']],
    ['412', { kind: 'status', status: 412 }, ['ESTALE']],
    ['no answer', { kind: 'reset' }, ['EIO']],
    ['silence', { kind: 'stall' }, ['ETIMEDOUT']],
    ['a reset in the body', { kind: 'resetInBody' }, ['EIO']],
    ['a short body', { kind: 'truncate' }, ['EIO']],
    ['a stall in the body', { kind: 'stallInBody' }, ['ETIMEDOUT', 'EIO']],
  ]

const passing = new Set([
  '408',
  '429',
  '429 with a pause',
  '500',
  '502',
  '503',
  '504',
  'no answer',
  'silence',
  'a reset in the body',
  'a short body',
  'a stall in the body',
])

const content = randomBytes(200 * KiB)

interface Phase {
  readonly name: string
  readonly verb: string
  readonly nth: number
  /** Whether its answers have a body that can break. */
  readonly hasBody?: boolean
  prepare?(account: FaultyAccount): Promise<unknown>
  run(account: FaultyAccount, directory: string): Promise<unknown>
  /** What must hold after a failure. */
  check(t: Test, account: FaultyAccount, directory: string): Promise<void>
}

const nothingThere = async (t: Test, { fs }: FaultyAccount) => {
  t.equal(await fs.exists('box/out'), false, 'nothing is visible')
}

async function nothingLocal(t: Test, _account: FaultyAccount, directory: string): Promise<void> {
  t.same(await readdir(directory), [], 'no local file, whole or partial')
}

const many = (account: FaultyAccount) =>
  Promise.all(
    Array.from({ length: 12 }, (_, index) => account.fs.writeText(`box/dir/${index}`, 'x')),
  )

const phases: readonly Phase[] = [
  {
    name: 'a small write',
    verb: 'PutBlob',
    nth: 1,
    run: ({ fs }) => fs.writeText('box/out', 'small'),
    check: nothingThere,
  },
  {
    name: 'the second block of a large write',
    verb: 'PutBlock',
    nth: 2,
    run: async ({ fs }) => {
      await using writer = await fs.open('box/out', 'w')
      await writer.write(content)
      await writer.close()
    },
    check: nothingThere,
  },
  {
    name: 'the commit of a large write',
    verb: 'PutBlockList',
    nth: 1,
    run: async ({ fs }) => {
      await using writer = await fs.open('box/out', 'w')
      await writer.write(content)
      await writer.close()
    },
    check: nothingThere,
  },
  {
    name: 'the first bytes of a download',
    verb: 'GetBlob',
    nth: 1,
    hasBody: true,
    prepare: ({ fs }) => fs.pipeFile('box/in', content),
    run: ({ fs }, directory) => fs.getFile('box/in', join(directory, 'file')),
    check: nothingLocal,
  },
  {
    name: 'the middle of a download',
    verb: 'GetBlob',
    nth: 3,
    hasBody: true,
    prepare: ({ fs }) => fs.pipeFile('box/in', content),
    run: ({ fs }, directory) => fs.getFile('box/in', join(directory, 'file')),
    check: nothingLocal,
  },
  {
    name: 'the second page of a listing',
    verb: 'ListBlobs',
    nth: 2,
    hasBody: true,
    prepare: many,
    async run({ store }) {
      let continuation: string | undefined
      let count = 0
      do {
        const options = { maxResults: 5, continuation }
        const page = await store.listPage({ container: 'box', name: 'dir/' }, options)
        count += page.entries.length
        continuation = page.continuation
      } while (continuation !== undefined)
      if (count !== 12) throw new Error(`${count} of 12`)
    },
    check: async () => undefined,
  },
  {
    name: 'a delete',
    verb: 'DeleteBlob',
    nth: 1,
    prepare: ({ fs }) => fs.writeText('box/in', 'stays'),
    run: ({ fs }) => fs.rmFile('box/in'),
    check: async (t, { fs }) => {
      t.equal(await fs.exists('box/in'), true, 'it is still there')
    },
  },
]

/** One attempt meets the fault: then it must not be seen; all do: then it must be told. */
for (const phase of phases) {
  t.test(`every fault at ${phase.name}`, async (t) => {
    t.jobs = 6
    const cases: Promise<unknown>[] = []
    const sockets = activeSockets()
    for (const [name, effect, codes] of effects) {
      const isOfBody = ['a reset in the body', 'a short body', 'a stall in the body'].includes(name)
      if (isOfBody && phase.hasBody !== true) continue
      cases.push(
        t.test(name, { buffered: true }, async (t) => {
          const phaseMs = effect.kind.startsWith('stall') ? 750 : undefined
          const account = await faultyAccount(t, { phaseMs })
          await phase.prepare?.(account)
          const { verb, nth } = phase

          if (passing.has(name)) {
            account.control.replaceFaults([{ verb, nth, count: 1, effect }])
            const once = t.testdir()
            await phase.run(account, once)
            t.ok((account.control.faults.active[0]?.matched ?? 0) >= nth, 'the fault was met')
            account.control.replaceFaults([])
            if (phase.verb === 'PutBlob' || phase.verb === 'PutBlockList' || verb === 'PutBlock') {
              await account.fs.rmFile('box/out')
            }
            if (verb === 'DeleteBlob') await phase.prepare?.(account)
          }

          account.control.replaceFaults([{ verb, nth, effect }])
          const directory = t.testdir()
          const startedMs = Date.now()
          const failure = await phase.run(account, directory).then(
            () => undefined,
            (error: unknown) => error,
          )
          t.ok(Date.now() - startedMs < 10_000, 'in bounded time')
          if (!isFileSystemError(failure))
            throw new Error('expected a FileSystemError', { cause: failure })
          t.ok(codes.includes(failure.code), `${failure.code}: ${failure.message}`)
          t.match(failure.message, /box/, 'it names the path')
          // Before the faults end: what was stalled goes on then.
          await phase.check(t, account, directory)
          account.control.replaceFaults([])
          t.equal(account.memory.heldBytes, 0, 'no memory is held')
          t.equal(account.requests.state.active, 0, 'no place of the budget is held')
        }),
      )
    }
    await Promise.all(cases)
    t.ok(activeSockets() - sockets <= 8, 'connections do not pile up')
  })
}

function activeSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
}
