import t, { type Test } from 'tap'
import { mapConcurrent } from '../../src/concurrency.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import type { FaultRule } from '../../src/storage-server/control/fault-rule.ts'
import { type FaultyAccount, faultyAccount } from '../support/faulty-account.ts'

const container = 'box'
const at = (name: string) => ({ container, name })

/** A flat account with `count` blobs below `tree`, and who works on it. */
async function planted(t: Test, count: number) {
  const account = await faultyAccount(t)
  const names = Array.from({ length: count }, (_, index) => `tree/${index % 3}/f${index}`)
  await mapConcurrent(names, 8, (name) => account.store.put(at(name), Buffer.from(name)))
  const { store, control } = account
  control.ledger.clear()
  return { ...account, names, namespace: new Namespace({ store, listingTtlMs: 0 }) }
}

const namesIn = async ({ store }: FaultyAccount) =>
  (await store.listPage(at(''))).entries.map(({ name }) => name)

/** How many requests of a verb came, those within batches not counted. */
const requests = ({ control }: FaultyAccount, verb: string) =>
  control.ledger.counters()[verb]?.requests ?? 0

const inBatches = (rule: Omit<FaultRule, 'verb'>): FaultRule => ({ verb: 'BlobBatch', ...rule })

t.test('a tree of few blobs is removed by 64 a request', async (t) => {
  const account = await planted(t, 130)
  const removed: string[] = []
  const onProgress = ({ path }: { path: { name: string } }) => void removed.push(path.name)

  await account.namespace.removeTree(at('tree'), { onProgress })

  t.strictSame(await namesIn(account), [])
  t.strictSame(removed.sort(), [...account.names].sort())
  t.equal(requests(account, 'BlobBatch'), 3)
  t.equal(requests(account, 'DeleteBlob'), 0)
})

t.test('many blobs are shared out among four requests at a time', async (t) => {
  const account = await planted(t, 1300)

  await account.namespace.removeTree(at('tree'))

  t.strictSame(await namesIn(account), [])
  t.equal(requests(account, 'DeleteBlob'), 0)
  // Four of 256, and what is left of them.
  t.ok(requests(account, 'BlobBatch') >= 6 && requests(account, 'BlobBatch') <= 8)
})

t.test('one request at a time is a batch at a time', async (t) => {
  const account = await planted(t, 300)

  await account.namespace.removeTree(at('tree'), { concurrency: 1 })

  t.strictSame(await namesIn(account), [])
  t.equal(requests(account, 'BlobBatch'), 2)
})

t.test('the sources of a rename are deleted by 64 a request', async (t) => {
  const account = await planted(t, 130)
  const phases: string[] = []

  await account.namespace.rename(at('tree'), at('moved'), {
    onProgress: ({ phase }) => void phases.push(phase),
  })

  const moved = account.names.map((name) => name.replace('tree', 'moved')).sort()
  t.strictSame(
    (await namesIn(account)).filter((name) => name !== 'moved'),
    moved,
  )
  t.equal(requests(account, 'BlobBatch'), 3)
  t.equal(phases.filter((phase) => phase === 'deleted').length, 130)
})

t.test('a source that was written after it was copied takes its copy along', async (t) => {
  const account = await planted(t, 70)
  const { namespace, store } = account
  let copied = 0

  await namespace.rename(at('tree'), at('moved'), {
    onProgress: ({ phase }) => {
      copied += phase === 'copied' ? 1 : 0
      if (copied !== 70) return
      copied += 1
      // Before anything is deleted: the request is under way ahead of the listing of the copies.
      void store.put(at('tree/0/f0'), Buffer.from('newer'))
    },
  })

  t.notOk((await namesIn(account)).some((name) => name.startsWith('tree/')))
  t.equal(String((await store.get(at('moved/0/f0'))).data), 'newer')
})

const faults: readonly [string, FaultRule, number][] = [
  ['is answered 503', inBatches({ effect: { kind: 'status', status: 503 } }), 130],
  ['is answered 500', inBatches({ effect: { kind: 'status', status: 500 } }), 130],
  ['is answered 501', inBatches({ effect: { kind: 'status', status: 501 } }), 130],
  [
    'is done and answered 503',
    inBatches({ runsVerb: true, effect: { kind: 'status', status: 503 } }),
    0,
  ],
  ['is done and not answered', inBatches({ runsVerb: true, effect: { kind: 'reset' } }), 0],
  ['breaks off in its answer', inBatches({ effect: { kind: 'resetInBody' } }), 0],
]

for (const [title, rule, left] of faults) {
  for (const operation of ['removeTree', 'rename'] as const) {
    t.test(`${operation} is whole where each batch ${title}`, async (t) => {
      const account = await planted(t, 130)
      const { namespace, control } = account
      control.replaceFaults([rule])

      if (operation === 'removeTree') await namespace.removeTree(at('tree'))
      else await namespace.rename(at('tree'), at('moved'))

      const found = await namesIn(account)
      t.notOk(found.some((name) => name.startsWith('tree/')))
      t.equal(found.length, operation === 'rename' ? 130 : 0)
      t.ok(requests(account, 'DeleteBlob') >= left)
    })
  }
}

t.test('one batch of several whose answer is lost leaves nothing behind', async (t) => {
  const account = await planted(t, 200)
  account.control.replaceFaults([inBatches({ nth: 2, count: 1, effect: { kind: 'resetInBody' } })])

  await account.namespace.removeTree(at('tree'))

  t.strictSame(await namesIn(account), [])
  t.equal(requests(account, 'BlobBatch'), 5)
  t.equal(requests(account, 'DeleteBlob'), 0)
})

t.test('a blob that may not be deleted is told by its name, and the others are gone', async (t) => {
  const account = await planted(t, 100)
  const held = account.box.getBlobClient('tree/1/f1')
  await held.getBlobLeaseClient().acquireLease(-1)

  await t.rejects(account.namespace.removeTree(at('tree')), {
    code: 'EBUSY',
    path: 'abfs://box/tree/1/f1',
  })

  t.strictSame(await namesIn(account), ['tree/1/f1'])
})

t.test('a service that is away is told by the first blobs, without asking for each', async (t) => {
  const account = await planted(t, 200)
  account.control.replaceFaults(
    ['BlobBatch', 'DeleteBlob'].map((verb) => ({ verb, effect: { kind: 'status', status: 500 } })),
  )

  await t.rejects(account.namespace.removeTree(at('tree')), /tree\/\d\/f\d/)

  t.equal((await namesIn(account)).length, 200)
  t.ok(requests(account, 'BlobBatch') + requests(account, 'DeleteBlob') <= 4 * 3 * 2)
})

for (const [status, code, batches] of [
  [413, 'RequestBodyTooLarge', 6],
  [400, 'InvalidInput', 3],
] as const) {
  t.test(`blobs of batches that are refused with ${status} are deleted one by one`, async (t) => {
    const account = await planted(t, 130)
    account.control.replaceFaults([inBatches({ effect: { kind: 'status', status, code } })])

    await account.namespace.removeTree(at('tree'))
    await Promise.all([1, 2, 3].map((id) => account.store.put(at(`tree/${id}`), Buffer.from('x'))))
    await account.namespace.removeTree(at('tree'))

    t.strictSame(await namesIn(account), [])
    t.equal(requests(account, 'DeleteBlob'), 133)
    // What was too long may be shorter the next time; who takes none at all is not asked again, but for those under way.
    t.ok(requests(account, 'BlobBatch') >= (status === 413 ? 4 : 1))
    t.ok(requests(account, 'BlobBatch') <= batches, `${requests(account, 'BlobBatch')} batches`)
  })
}

t.test('files of a pattern share requests, and their directory stays', async (t) => {
  const account = await faultyAccount(t)
  const { store, control } = account
  const fs = new AzureBlobFileSystem({ store })
  const names = Array.from({ length: 130 }, (_, index) => `f${index}`)
  await fs.pipe(Object.fromEntries(names.map((name) => [`box/dir/${name}`, Buffer.from(name)])))
  await fs.pipe({ 'box/two/a': Buffer.from('a'), 'box/two/b': Buffer.from('b') })
  control.ledger.clear()

  const result = await fs.rm(['box/dir/f*', 'box/two/*'])

  t.equal(result.ok.length, 132)
  t.equal(requests(account, 'DeleteBlob'), 0)
  t.ok(requests(account, 'BlobBatch') <= 4, `${requests(account, 'BlobBatch')} batches`)
  t.strictSame(
    (await fs.find('box', { withDirs: true })).map(({ name }) => name),
    ['box', 'box/dir', 'box/two'],
  )
  t.equal(requests(account, 'PutBlob'), 2, 'each directory is marked once')
})

t.test('a file of a pattern that was replaced meanwhile is looked at again', async (t) => {
  const account = await planted(t, 130)
  const namespace = new Namespace({ store: account.store })
  const fs = new AzureBlobFileSystem({ store: account.store, namespace })
  await fs.glob('box/tree/*/*')
  await account.store.put(at('tree/0/f3'), Buffer.from('newer'))
  await account.store.delete(at('tree/1/f4'))

  const result = await fs.rm('box/tree/*/*', { onError: 'return' })

  t.match(
    result.failed.map(({ path, error }) => [path, error]),
    [['box/tree/1/f4', { code: 'ENOENT' }]],
  )
  t.equal(result.ok.length, 129)
  t.strictSame(
    (await fs.find('box')).map(({ name }) => name),
    [],
  )
})

t.test('a directory stays though its last files are taken away at the same time', async (t) => {
  for (const ttlMs of [0, 5000]) {
    const { store } = await faultyAccount(t)
    const namespace = new Namespace({ store, listingTtlMs: ttlMs })
    for (const name of ['d/a', 'd/b', 'd/c', 'e/a', 'e/b'])
      await store.put(at(name), Buffer.from(name))
    await namespace.list(at('d'))
    await namespace.list(at('e'))

    await Promise.all([
      namespace.removeFile(at('d/a')),
      namespace.removeFile(at('d/b')),
      namespace.rename(at('d/c'), at('c')),
      namespace.removeFile(at('e/a')),
    ])

    const rows = (await store.listPage(at(''))).entries.map(({ name }) => name)
    t.strictSame(rows, ['c', 'd', 'e/b'], `listings of ${ttlMs} ms`)
    t.equal((await namespace.stat(at('d'), { fresh: true })).type, 'directory')
  }
})
