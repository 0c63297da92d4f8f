import { randomBytes } from 'node:crypto'
import t from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { crc64 } from '../../src/crc64.ts'
import type { FaultRule } from '../../src/storage-server/control/fault-rule.ts'
import { faultChannel } from '../../src/telemetry.ts'
import { faultyAccount } from '../support/faulty-account.ts'

const path = { container: 'box', name: 'a' }
const content = Buffer.from('content')

/** The service does as it is told, and its answer is lost. */
function lost(verb: string, effect: FaultRule['effect'] = { kind: 'reset' }): FaultRule {
  return { verb, count: 1, runsVerb: true, effect }
}

const effects: readonly FaultRule['effect'][] = [
  { kind: 'reset' },
  { kind: 'status', status: 500, code: 'OperationTimedOut' },
]

for (const effect of effects) {
  t.test(
    `a put that must not replace knows its own work when its answer is lost: ${effect.kind}`,
    async (t) => {
      const { control, store } = await faultyAccount(t)
      control.replaceFaults([lost('PutBlob', effect)])
      const made = await store.put(path, content, { ifNoneMatch: '*', metadata: { a: '1' } })
      const now = await store.head(path)
      t.equal(made.etag, now.etag)
      t.equal(control.faults.active[0]?.matched, 2, 'it was sent twice')
      t.same(now.metadata, { a: '1' }, 'the mark is not for callers')
    },
  )

  t.test(`so does one that replaces a version: ${effect.kind}`, async (t) => {
    const { control, store } = await faultyAccount(t)
    const { etag } = await store.put(path, Buffer.from('before'))
    control.replaceFaults([lost('PutBlob', effect)])
    const made = await store.put(path, content, { ifMatch: etag })
    t.equal(made.etag, (await store.head(path)).etag)
    t.equal(control.faults.active[0]?.matched, 2, 'it was sent twice')
  })

  t.test(`so does a commit of blocks: ${effect.kind}`, async (t) => {
    const { control, store } = await faultyAccount(t)
    const id = Buffer.from('block-1').toString('base64')
    await store.stageBlock(path, id, content)
    control.replaceFaults([lost('PutBlockList', effect)])
    const made = await store.commitBlocks(path, [id], { ifNoneMatch: '*', sizeBytes: 7 })
    t.equal(made.etag, (await store.head(path)).etag)
    t.equal(control.faults.active[0]?.matched, 2, 'it was sent twice')
    t.equal(made.sizeBytes, 7)
  })
}

t.test(
  'the same bytes, written by somebody else meanwhile, are not mistaken for its own',
  async (t) => {
    const { control, store } = await faultyAccount(t)
    await store.put(path, content, { ifNoneMatch: '*' })
    control.replaceFaults([{ verb: 'PutBlob', count: 1, effect: { kind: 'reset' } }])
    await t.rejects(store.put(path, content, { ifNoneMatch: '*' }), { code: 'EEXIST' })
  },
)

t.test('a delete whose answer was lost has deleted', async (t) => {
  const { control, store } = await faultyAccount(t)
  await store.put(path, content)
  control.replaceFaults([lost('DeleteBlob')])
  await store.delete(path)
  await t.rejects(store.head(path), { code: 'ENOENT' })
  await t.rejects(store.delete(path), { code: 'ENOENT' }, 'one that was never there is missing')
})

t.test('what is written carries its CRC, of the whole and for each request', async (t) => {
  const { control, store, fs } = await faultyAccount(t)
  const big = randomBytes(300 * KiB + 5)
  await fs.pipeFile('box/big', big)
  const { written, metadata } = await store.head({ container: 'box', name: 'big' })
  t.equal(written?.crc64, crc64(big))
  t.equal(written?.sizeBytes, big.length)
  t.same(metadata, {})
  t.ok(big.equals(await fs.readBytes('box/big')))
  control.replaceFaults([{ verb: 'GetBlob', effect: { kind: 'corrupt', at: 3 } }])
  await t.rejects(fs.readBytes('box/big'), {
    code: 'EBADMSG',
    path: 'abfs://box/big',
    serviceCode: 'ContentCrc64Mismatch',
  })
  control.replaceFaults([])
  t.ok(big.equals(await fs.readBytes('box/big')))
})

t.test('a download that was damaged leaves the local file as it was', async (t) => {
  const { control, fs } = await faultyAccount(t)
  await fs.pipeFile('box/big', randomBytes(200 * KiB))
  const directory = t.testdir({ target: 'before' })
  control.replaceFaults([{ verb: 'GetBlob', effect: { kind: 'corrupt', at: 0 } }])
  await t.rejects(fs.getFile('box/big', `${directory}/target`), { code: 'EBADMSG' })
  const { readFile, readdir } = await import('node:fs/promises')
  t.equal(await readFile(`${directory}/target`, 'utf8'), 'before')
  t.same(await readdir(directory), ['target'])
})

t.test('a part is read without looking at the sum of the whole', async (t) => {
  const { fs } = await faultyAccount(t)
  await fs.pipeFile('box/a', content)
  t.equal(Buffer.from(await fs.catFile('box/a', { start: 1, end: 3 })).toString(), 'on')
})

t.test('a blob that others changed in place is not measured by an old sum', async (t) => {
  const { store, fs } = await faultyAccount(t)
  await fs.pipeFile('box/a', content)
  const { written } = await store.head(path)
  t.ok(written)
  await store.put(path, Buffer.from('other'), {})
  t.equal(Buffer.from(await fs.readBytes('box/a')).toString(), 'other')
})

t.test('a service that takes no CRC gets none, and that is said aloud once', async (t) => {
  const { control, store } = await faultyAccount(t)
  const told: unknown[] = []
  const listener = (event: unknown) => told.push(event)
  faultChannel.subscribe(listener)
  t.teardown(() => faultChannel.unsubscribe(listener))
  const refusal = { kind: 'status', status: 400, code: 'UnsupportedHeader' } as const
  control.replaceFaults([{ verb: 'PutBlob', count: 1, effect: refusal }])
  await store.put(path, content)
  await store.put({ ...path, name: 'b' }, content)
  t.match(told, [{ operation: 'blob.put', path: 'abfs://box/a', error: { code: 'ENOTSUP' } }])
  t.equal((await store.head(path)).written?.crc64, crc64(content), 'the sum of the whole stays')
})

t.test('MD5 instead, or nothing', async (t) => {
  for (const integrity of ['md5', 'none'] as const) {
    const { store, control } = await faultyAccount(t, { integrity })
    await store.put(path, content)
    t.equal((await store.head(path)).written, undefined)
    const damaged = { kind: 'status', status: 400, code: 'Md5Mismatch' } as const
    control.replaceFaults([{ verb: 'PutBlob', effect: damaged }])
    await t.rejects(store.put(path, content), { code: 'EBADMSG' })
  }
})

t.test('a change of metadata is one request, whose answer tells the version', async (t) => {
  const { control, store } = await faultyAccount(t)
  const { etag } = await store.put(path, content)
  control.ledger.clear()

  const changed = await store.setMetadata(path, { a: '1' }, { ifMatch: etag })

  t.same(
    control.ledger.entries({}).map(({ verb }) => verb),
    ['SetBlobMetadata'],
    'nobody else can have written between it and a look at it',
  )
  const { etag: seen, lastModifiedMs } = await store.head(path)
  t.match(changed, { etag: seen, lastModifiedMs })
})
