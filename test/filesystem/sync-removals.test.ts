import t, { type Test } from 'tap'
import { BulkError } from '../../src/bulk.ts'
import { mapConcurrent } from '../../src/concurrency.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { sync } from '../../src/filesystem/sync.ts'
import { faultyAccount } from '../support/faulty-account.ts'
import { plantLocal, temporaryDirectory } from '../support/file-system.ts'

/** 130 files in three directories of a flat account, and a local tree that has one of them. */
async function planted(t: Test, kept: Readonly<Record<string, string>> = { '0/f0': '0/f0' }) {
  const account = await faultyAccount(t)
  const fs = new AzureBlobFileSystem({ store: account.store })
  const names = Array.from({ length: 130 }, (_, index) => `${index % 3}/f${index}`)
  await mapConcurrent(names, 8, (name) => fs.writeText(`box/tree/${name}`, name))
  const local = await temporaryDirectory(t)
  await plantLocal(local, kept)
  account.control.ledger.clear()
  const requests = (verb: string) => account.control.ledger.counters()[verb]?.requests ?? 0
  const total = () =>
    Object.values(account.control.ledger.counters()).reduce((sum, each) => sum + each.requests, 0)
  const run = (options: object = {}) =>
    sync({ local }, { fs, path: 'box/tree' }, { deleteExtra: true, compare: 'size', ...options })
  return { ...account, fs, names, run, requests, total }
}

t.test('what is extra on a flat account is deleted by batches', async (t) => {
  const { fs, run, requests, total } = await planted(t)

  const plan = await run()

  t.equal(plan.deleted.length, 129)
  t.strictSame(
    (await fs.find('box/tree')).map(({ name }) => name),
    ['box/tree/0/f0'],
  )
  t.equal(requests('DeleteBlob'), 0)
  t.ok(requests('BlobBatch') <= 5, `${requests('BlobBatch')} batches`)
  t.ok(total() <= 18, `${total()} requests`)
  t.strictSame(await fs.ls('box/tree/1', { refresh: true }), [], 'the directory stays')
})

t.test('a file that may not be deleted is told by its name, and a retry deletes it', async (t) => {
  const { fs, box, run } = await planted(t)
  const held = box.getBlobClient('tree/1/f1').getBlobLeaseClient()
  await held.acquireLease(-1)

  const error = await run().catch((error: unknown) => error)

  if (!(error instanceof BulkError)) throw new Error('expected a BulkError', { cause: error })
  t.match(error, { failed: [{ path: '1/f1', error: { code: 'EBUSY' } }], waiting: 0 })
  t.strictSame(
    (await fs.find('box/tree')).map(({ name }) => name),
    ['box/tree/0/f0', 'box/tree/1/f1'],
  )
  await held.releaseLease()
  t.match(await error.retry(), { failed: [], waiting: 0 })
  t.equal((await fs.find('box/tree')).length, 1)
})

t.test(
  'one extra file, and files of an account without batches, are deleted by themselves',
  async (t) => {
    const { fs, control, names, run, requests } = await planted(t)
    control.replaceFaults([
      { verb: 'BlobBatch', effect: { kind: 'status', status: 501, code: 'NotImplemented' } },
    ])

    await run({ concurrency: 4 })

    t.equal(requests('DeleteBlob'), 129)
    t.equal((await fs.find('box/tree')).length, 1)
    await fs.writeText(`box/tree/${names[1]}`, 'again')
    control.ledger.clear()
    t.match(await run(), { deleted: ['1/f1'] })
    t.equal(requests('DeleteBlob'), 1)
    t.equal(requests('BlobBatch'), 0)
  },
)
