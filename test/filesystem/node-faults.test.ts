/** The shape of `node:fs/promises` over an account whose connections break, stall and are refused. */
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { KiB } from '../../src/byte-range.ts'
import type { FaultRule } from '../../src/storage-server/control/fault-rule.ts'
import { faultyAccount } from '../support/faulty-account.ts'
import { patternOf } from '../support/pattern.ts'

const content = patternOf(900 * KiB)

const cuts: readonly FaultRule['effect'][] = [
  { kind: 'reset' },
  { kind: 'resetInBody' },
  { kind: 'truncate' },
  { kind: 'status', status: 503 },
]

for (const effect of cuts) {
  t.test(`streams and handles go on after connections that break (${effect.kind})`, async (t) => {
    const { fs, control } = await faultyAccount(t)
    const node = fs.asNodeFs()
    await node.writeFile('/box/from', content)
    const broken = control.replaceFaults([
      { verb: 'GetBlob', nth: 2, count: 2, effect },
      { verb: 'PutBlock', nth: 3, count: 2, effect, ...runsVerb(effect) },
      { verb: 'PutBlockList', nth: 1, count: 1, effect, ...runsVerb(effect) },
    ])

    await pipeline(node.createReadStream('/box/from'), node.createWriteStream('/box/to'))
    await using handle = await node.open('/box/to')
    const all = await handle.readFile()

    t.ok(all.equals(content))
    t.ok(broken.length === 3)
  })
}

t.test(
  'nothing of a stream or a handle that fails is visible, and what was there stays',
  async (t) => {
    const { fs, control, box } = await faultyAccount(t, { maxAttempts: 2 })
    const node = fs.asNodeFs()
    await node.writeFile('/box/from', content)
    await node.writeFile('/box/kept', 'before')
    const failures = [
      ['PutBlock', { kind: 'reset' }, 'EIO'],
      ['PutBlockList', { kind: 'status', status: 403 }, 'EACCES'],
      ['GetBlob', { kind: 'resetInBody' }, 'EIO'],
    ] as const
    for (const [verb, effect, code] of failures) {
      for (const target of ['/box/new', '/box/kept']) {
        control.replaceFaults([{ verb, nth: 1, effect }])
        const copied = pipeline(node.createReadStream('/box/from'), node.createWriteStream(target))
        await t.rejects(copied, { code }, `${verb} of ${target}`)
      }
      if (verb === 'GetBlob') continue
      const handle = await node.open('/box/kept', 'w')
      await t.rejects(
        async () => {
          await handle.write(content)
          await handle.close()
        },
        { code },
        `a handle, ${verb}`,
      )
      await handle.close().catch(() => undefined)
    }
    control.replaceFaults([])

    t.equal(await node.readFile('/box/kept', 'utf8'), 'before')
    t.strictSame(await node.readdir('/box'), ['from', 'kept'])
    t.equal(await box.getBlockBlobClient('new').exists(), false)
  },
)

t.test('a stream that is destroyed ends what it waits for', async (t) => {
  const { fs, control, memory, requests } = await faultyAccount(t)
  const node = fs.asNodeFs()
  await node.writeFile('/box/from', content)
  const verbs = [
    ['GetBlob', 'stall'],
    ['GetBlob', 'stallInBody'],
    ['PutBlock', 'stall'],
  ] as const
  for (const [verb, kind] of verbs) {
    for (const reason of [undefined, new Error('enough')]) {
      control.replaceFaults([{ verb, nth: 1, effect: { kind } }])
      const before = sockets()
      const stream =
        verb === 'PutBlock' ? node.createWriteStream('/box/to') : node.createReadStream('/box/from')
      if ('write' in stream) stream.write(content)
      else stream.resume()
      await eventually(() => control.faults.active.some(({ matched }) => matched > 0))
      const told = reason && once(stream, 'error').catch((error: unknown) => [error])
      const closed = new Promise((resolve) => stream.on('close', resolve))
      stream.destroy(reason)
      const first = await Promise.race([closed.then(() => 'closed'), delay(20_000, 'waits')])

      t.equal(first, 'closed', `${verb}, ${kind}`)
      if (told !== undefined) t.strictSame(await told, [reason])
      t.equal(requests.state.active, 0, 'no request is under way')
      await eventually(() => sockets() <= before)
      control.replaceFaults([])
    }
  }
  t.equal(memory.heldBytes, 0)
  t.equal(await fs.exists('box/to'), false)
})

t.test('a listing is whole or fails', async (t) => {
  const { fs, control } = await faultyAccount(t, { maxAttempts: 3 })
  const node = fs.asNodeFs()
  const names = Array.from({ length: 30 }, (_, index) => `f${String(index).padStart(2, '0')}`)
  for (const name of names) await node.writeFile(`/box/d/${name}`, '')
  for (const effect of cuts) {
    control.replaceFaults([{ verb: 'ListBlobs', nth: 1, count: 2, effect }])
    t.strictSame(await node.readdir('/box/d'), names, effect.kind)
    control.replaceFaults([{ verb: 'ListBlobs', nth: 1, effect }])
    await t.rejects(node.readdir('/box/d'), { code: 'EIO' }, effect.kind)
    await t.rejects(node.opendir('/box/d'), { code: 'EIO' }, effect.kind)
  }
})

t.test('mkdtemp takes another name where one is taken', async (t) => {
  const { fs, control } = await faultyAccount(t)
  const node = fs.asNodeFs()
  const taken = { kind: 'status', status: 409, code: 'BlobAlreadyExists' } as const
  control.replaceFaults([{ verb: 'PutBlob', nth: 1, count: 2, effect: taken }])

  const made = await node.mkdtemp('/box/run-')

  t.match(made, /^\/box\/run-[0-9a-zA-Z]{6}$/)
  t.strictSame(await node.readdir('/box'), [made.slice('/box/'.length)])
  control.replaceFaults([{ verb: 'PutBlob', nth: 1, effect: taken }])
  await t.rejects(node.mkdtemp('/box/run-'), { code: 'EEXIST' })
})

/** The answer of what has taken effect is lost. */
function runsVerb({ kind }: FaultRule['effect']): { readonly runsVerb?: true } {
  return kind === 'reset' ? { runsVerb: true } : {}
}

/** Connections of this process, of both sides. */
function sockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length
}

async function eventually(condition: () => boolean): Promise<void> {
  for (let left = 3000; !condition(); left -= 1) {
    if (left === 0) throw new Error(`still not: ${condition}`)
    await delay(10)
  }
}
