/** A blob keeps the encryption scope that it has, whoever writes it and however. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import { type FaultyAccount, faultyAccount } from '../support/faulty-account.ts'

const at = (name: string) => ({ container: 'box', name })

const scopeOf = async ({ box }: FaultyAccount, name: string): Promise<string | undefined> =>
  (await box.getBlockBlobClient(name).getProperties()).encryptionScope

const make = async ({ box }: FaultyAccount, name: string, content = 'content'): Promise<void> => {
  await box.getBlockBlobClient(name).upload(content, content.length, { encryptionScope: 'one' })
}

const edit = async ({ fs }: FaultyAccount, name: string, at: number): Promise<void> => {
  await using file = await fs.open(`box/${name}`, 'r+')
  await file.writeAt(at, 'edited')
}

t.test('what is put in the place of a blob that was looked at keeps its scope', async (t) => {
  const account = await faultyAccount(t)
  await make(account, 'a')
  const { etag } = await account.store.head(at('a'))

  await account.store.put(at('a'), Buffer.from('new'), { ifMatch: etag })

  t.equal(await scopeOf(account, 'a'), 'one')
})

t.test('so does an edit by blocks, and what is appended', async (t) => {
  const account = await faultyAccount(t)
  const content = randomBytes(200 * KiB).toString('latin1')
  await make(account, 'a', content)
  await account.box.getAppendBlobClient('log').create({ encryptionScope: 'one' })

  await edit(account, 'a', 100 * KiB)
  const log = await account.fs.open('box/log', 'a')
  await log.write('line')
  await log.close()

  t.equal(await scopeOf(account, 'a'), 'one')
  t.equal(await scopeOf(account, 'log'), 'one')
  t.equal(String(Buffer.from(await account.fs.catFile('box/log'))), 'line')
})

t.test('metadata and snapshots of one that only a listing told of name its scope', async (t) => {
  const account = await faultyAccount(t)
  await make(account, 'a')
  await make(account, 'b')
  await account.store.listPage(at(''))

  await account.store.setMetadata(at('a'), { colour: 'blue' })
  await account.administration.createSnapshot(at('b'))

  t.equal((await account.store.head(at('a'))).metadata?.['colour'], 'blue')
})

t.test('a rename takes the scope along, of trees too', async (t) => {
  const account = await faultyAccount(t)
  await make(account, 'file')
  await make(account, 'tree/one')
  await make(account, 'tree/two')
  await account.box.getBlockBlobClient('tree/three').upload('x', 1)
  const namespace = new Namespace({ store: account.store })

  await namespace.rename(at('file'), at('moved'))
  await namespace.list(at('tree'))
  await namespace.rename(at('tree'), at('grove'))

  t.equal(await scopeOf(account, 'moved'), 'one')
  t.equal(await scopeOf(account, 'grove/one'), 'one')
  t.equal(await scopeOf(account, 'grove/two'), 'one')
  t.equal(await scopeOf(account, 'grove/three'), undefined)
})

t.test('a copy that the service cannot make in its scope is not made', async (t) => {
  const account = await faultyAccount(t)
  await make(account, 'large')
  await account.store.head(at('large'))
  const effect = { kind: 'status', status: 413, code: 'RequestBodyTooLarge' } as const
  account.control.replaceFaults([{ verb: 'CopyBlobFromUrl', count: 1, effect }])

  const copy = account.store.copy(at('large'), at('copy'))

  await t.rejects(copy, { code: 'ENOTSUP', message: /encryption scope one/ })
  await t.rejects(account.store.head(at('copy')), { code: 'ENOENT' })
})

t.test('what lies where such a copy was to go stays', async (t) => {
  const account = await faultyAccount(t)
  await make(account, 'large')
  await account.store.head(at('large'))
  await account.box.getBlockBlobClient('copy').upload('before', 6)
  const tooLarge = { kind: 'status', status: 413, code: 'RequestBodyTooLarge' } as const
  account.control.replaceFaults([{ verb: 'CopyBlobFromUrl', count: 1, effect: tooLarge }])

  await t.rejects(account.store.copy(at('large'), at('copy')), { code: 'ENOTSUP' })

  const kept = await account.store.get(at('copy'))
  t.equal(Buffer.from(kept.data).toString(), 'before')
})

t.test('who may not ask for a container finds its scope out, and loses nothing', async (t) => {
  const account = await faultyAccount(t)
  await make(account, 'large')
  await account.store.head(at('large'))
  const plain = account.box.getBlockBlobClient('there')
  await plain.upload('before', 6)
  const tooLarge = { kind: 'status', status: 413, code: 'RequestBodyTooLarge' } as const
  const refused = { kind: 'status', status: 403, code: 'AuthorizationPermissionMismatch' } as const
  const faults = [
    { verb: 'CopyBlobFromUrl', count: 1, effect: tooLarge },
    { verb: 'GetContainerProperties', count: 1, effect: refused },
  ]

  account.control.replaceFaults(faults)
  await t.rejects(account.store.copy(at('large'), at('new')), { code: 'ENOTSUP' })
  account.control.replaceFaults(faults)
  await t.rejects(account.store.copy(at('large'), at('there')), { code: 'ENOTSUP' })

  await t.rejects(account.store.head(at('new')), { code: 'ENOENT' })
  const there = await account.store.get(at('there'))
  t.equal(Buffer.from(there.data).toString(), 'content', 'there is a whole version')
})

t.test('one that goes where its scope is the default is made, however large', async (t) => {
  const account = await faultyAccount(t)
  await make(account, 'large')
  const other = account.box.getAppendBlobClient('x').url.replace(/\/box\/x$/, '/other')
  await fetch(`${other}?restype=container`, {
    method: 'PUT',
    headers: { 'x-ms-version': '2025-05-05', 'x-ms-default-encryption-scope': 'one' },
  })
  await account.store.head(at('large'))
  const effect = { kind: 'status', status: 413, code: 'RequestBodyTooLarge' } as const
  account.control.replaceFaults([{ verb: 'CopyBlobFromUrl', count: 1, effect }])

  await account.store.copy(at('large'), { container: 'other', name: 'copy' })

  const copied = await account.store.get({ container: 'other', name: 'copy' })
  t.equal(Buffer.from(copied.data).toString(), 'content')
})

t.test('new blobs have the scope that is chosen for them, and others keep theirs', async (t) => {
  const account = await faultyAccount(t, { encryptionScope: 'chosen' })
  await make(account, 'scoped')
  const { box, fs, store } = account
  await box.getBlockBlobClient('plain').upload('plain', 5)

  await fs.pipeFile('box/small', 'new')
  await fs.pipeFile('box/large', randomBytes(300 * KiB))
  for (const name of ['scoped', 'plain']) {
    const { etag } = await store.head(at(name))
    await store.put(at(name), Buffer.from('edited'), { ifMatch: etag })
  }
  await store.delete(at('plain'))
  await store.put(at('plain'), Buffer.from('anew'))

  t.equal(await scopeOf(account, 'small'), 'chosen')
  t.equal(await scopeOf(account, 'large'), 'chosen')
  t.equal(await scopeOf(account, 'scoped'), 'one')
  t.equal(await scopeOf(account, 'plain'), 'chosen')
})

t.test(
  'an edit of one without a scope leaves it without, whatever is chosen for new ones',
  async (t) => {
    const account = await faultyAccount(t, { encryptionScope: 'chosen' })
    const content = randomBytes(200 * KiB)
    await account.box.getBlockBlobClient('a').uploadData(content)

    await edit(account, 'a', 100 * KiB)
    await account.store.setMetadata(at('a'), { colour: 'blue' })

    t.equal(await scopeOf(account, 'a'), undefined)
  },
)

t.test('where no blob has one nothing is asked and nothing is said', async (t) => {
  const account = await faultyAccount(t)
  const { box, store, control } = account
  await box.getBlockBlobClient('a').upload('x', 1)
  const verbs = () => control.ledger.entries().map(({ verb }) => verb)
  const before = verbs().length
  await store.head(at('a'))
  await store.setMetadata(at('a'), { colour: 'blue' })
  await store.copy(at('a'), at('b'))

  t.strictSame(verbs().slice(before), ['GetBlobProperties', 'SetBlobMetadata', 'CopyBlob'])
})
