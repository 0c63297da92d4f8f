/** Blobs that a key of the customer's encrypts: written, read, listed, copied and renamed with it, and by nobody else. */
import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import t from 'tap'
import { CustomerKeys, flatAlone } from '../../src/blob/customer-keys.ts'
import type { HierarchyStore } from '../../src/blob/hierarchy.ts'
import type { AppendOptions } from '../../src/blob/store.ts'
import { MiB } from '../../src/byte-range.ts'
import { CustomerKey } from '../../src/customer-key.ts'
import type { HttpRequest } from '../../src/http/handler.ts'
import { Namespace } from '../../src/namespace/namespace.ts'
import { type FaultyAccount, faultyAccount } from '../support/faulty-account.ts'

const newKey = (): CustomerKey => {
  const key = CustomerKey.from(randomBytes(32))
  if (key === undefined) throw new Error('32 bytes are a key')
  return key
}
const at = (name: string) => ({ container: 'box', name })
const put = (account: FaultyAccount, name: string, content: string, metadata = {}) =>
  account.store.put(at(name), Buffer.from(content), { metadata })
const textOf = async ({ store }: FaultyAccount, name: string): Promise<string> =>
  Buffer.from((await store.get(at(name))).data).toString()
/** As the service lists them, to who has no key. */
const sumsOf = async ({ box }: FaultyAccount): Promise<Record<string, string | undefined>> => {
  const sums: Record<string, string | undefined> = {}
  for await (const { name, properties } of box.listBlobsFlat()) {
    sums[name] = properties.customerProvidedKeySha256
  }
  return sums
}
const verbsOf = ({ control }: FaultyAccount): string[] =>
  control.ledger.entries().map(({ verb }) => verb)

t.test('a key is 32 bytes or base64 of them, and shows itself to nobody', async (t) => {
  const bytes = randomBytes(32)
  const text = bytes.toString('base64')
  const key = CustomerKey.from(text)

  t.equal(key?.reveal(), text)
  t.equal(CustomerKey.from(new Uint8Array(bytes))?.sha256, key?.sha256)
  for (const other of [bytes.subarray(1), bytes.toString('hex'), `${text}=`, '', 5, undefined]) {
    t.equal(CustomerKey.from(other), undefined)
  }
  for (const shown of [`${key}`, JSON.stringify({ key }), inspect({ key }, { showHidden: true })]) {
    t.notMatch(shown, text)
    t.match(shown, /\[secret\]/)
  }
})

t.test('goes with requests that the service takes one with, and with no other', async (t) => {
  const sent: HttpRequest[] = []
  const key = newKey()
  const answer = { status: 200, headers: {}, body: new Uint8Array(0) }
  const endpoint = new URL('https://mine.blob.core.windows.net')
  const send = async (request: HttpRequest) => {
    sent.push(request)
    return answer
  }
  const keys = new CustomerKeys(send, key, endpoint)
  const ask = async (method: HttpRequest['method'], query: string, headers = {}) => {
    const url = new URL(`/box/f${query}`, endpoint)
    await keys.handle({ method, url, headers, operation: 'any' })
    return sent.at(-1)?.headers ?? {}
  }
  const whole = {
    'x-ms-encryption-key': key.reveal(),
    'x-ms-encryption-key-sha256': key.sha256,
    'x-ms-encryption-algorithm': 'AES256',
  }
  const source = { 'x-ms-copy-source': `${endpoint.href}box/g` }

  for (const query of ['', '?comp=block&blockid=YQ==', '?comp=blocklist', '?comp=metadata']) {
    t.strictSame(await ask('PUT', query), whole, `PUT ${query}`)
  }
  t.strictSame(await ask('PUT', '?comp=appendblock'), whole)
  t.strictSame(await ask('PUT', '?comp=snapshot'), whole)
  t.strictSame(await ask('GET', ''), whole)
  t.strictSame(await ask('GET', '?snapshot=2026-01-01'), whole)
  t.strictSame(await ask('HEAD', ''), whole)
  for (const comp of ['tags', 'tier', 'lease', 'properties', 'undelete', 'expiry']) {
    t.strictSame(await ask('PUT', `?comp=${comp}`), {}, comp)
  }
  const count = sent.length
  await t.rejects(ask('PUT', '', source), { code: 'ENOTSUP', message: /write it anew/ })
  t.equal(sent.length, count, 'Copy Blob would make what has no key')
  t.strictSame(await ask('DELETE', ''), {})
  t.strictSame(await ask('POST', '?comp=batch'), {})
  t.strictSame(await ask('GET', '?restype=container&comp=list'), {})
  t.strictSame(await ask('HEAD', '?restype=container'), {})
  t.strictSame(await ask('GET', '?comp=blocklist'), {})
  t.strictSame(await ask('GET', '?comp=tags'), {})
  t.match(await ask('PUT', '?comp=block&blockid=YQ==', source), {
    ...whole,
    'x-ms-source-encryption-key': key.reveal(),
    'x-ms-source-encryption-key-sha256': key.sha256,
    'x-ms-source-encryption-algorithm': 'AES256',
    'x-ms-version': '2026-02-06',
  })
  const lent = { ...source, 'x-ms-copy-source-authorization': 'Bearer x' }
  t.strictSame(await ask('PUT', '?comp=block&blockid=YQ==', lent), { ...lent, ...whole })
})

t.test('is sent over https only', async (t) => {
  const endpoint = new URL('http://mine.example')
  const send = async () => ({ status: 200, headers: {}, body: new Uint8Array(0) })
  const connect = () => new CustomerKeys(send, newKey(), endpoint)

  t.throws(connect, { code: 'EINVAL', message: /over https only.*http:\/\/mine\.example/ })
})

t.test('is for flat accounts', async (t) => {
  const hierarchy = {} as HierarchyStore
  t.equal(await flatAlone(async () => undefined)('box'), undefined)
  const refused = flatAlone(async () => hierarchy)('box')
  await t.rejects(refused, { code: 'ENOTSUP', message: /hierarchical: an encryption scope/ })
})

t.test('all that is written is encrypted with it, and read with it alone', async (t) => {
  const customerKey = newKey()
  const account = await faultyAccount(t, { customerKey })
  const { fs, store, administration } = account
  const content = randomBytes(300 * 1024)

  await fs.pipeFile('box/small', 'small')
  await fs.pipeFile('box/large', content)
  await using file = await fs.open('box/large', 'r+')
  await file.writeAt(100 * 1024, 'edited')
  await file.close()
  const log = await fs.open('box/log', 'a')
  await log.write('line')
  await log.close()
  await store.setMetadata(at('small'), { colour: 'blue' })
  await administration.createSnapshot(at('small'))

  content.write('edited', 100 * 1024)
  t.ok(content.equals(Buffer.from(await fs.catFile('box/large'))))
  t.equal(await textOf(account, 'log'), 'line')
  t.match(await store.head(at('small')), {
    metadata: { colour: 'blue' },
    customerKeySha256: customerKey.sha256,
  })
  const { sha256 } = customerKey
  t.strictSame(await sumsOf(account), { small: sha256, large: sha256, log: sha256 })
})

t.test('what another key or none encrypts is EACCES, by its path and what to do', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  const { box, store } = account
  const other = newKey()
  const customerProvidedKey = {
    encryptionKey: other.reveal(),
    encryptionKeySha256: other.sha256,
    encryptionAlgorithm: 'AES256',
  } as const
  // Microsoft's client sends keys over https alone, too.
  const url = new URL(box.url)
  await fetch(`${url.href}/other`, {
    method: 'PUT',
    body: 'x',
    headers: {
      'x-ms-version': '2025-05-05',
      'x-ms-blob-type': 'BlockBlob',
      'x-ms-encryption-key': customerProvidedKey.encryptionKey,
      'x-ms-encryption-key-sha256': customerProvidedKey.encryptionKeySha256,
      'x-ms-encryption-algorithm': 'AES256',
    },
  })
  await box.getBlockBlobClient('plain').upload('x', 1)

  const refused = async (name: string, message: RegExp) => {
    for (const ask of [() => store.get(at(name)), () => store.head(at(name))]) {
      const error = await ask().catch((reason: unknown) => reason)
      t.match(error, { code: 'EACCES', path: `abfs://box/${name}`, message })
      t.notMatch(inspect(error, { depth: 9 }), other.reveal())
    }
  }
  await refused('other', /another key of the customer's.*--encryption-key-file/)
  await refused('plain', /no key of the customer's: leave the key out/)
  const { entries } = await store.listPage(at(''))
  t.match(
    entries.map(({ name }) => name),
    ['other', 'plain'],
    'listings have them',
  )
})

t.test('without a key such a blob is EACCES, and what to do is said', async (t) => {
  const { store, box } = await faultyAccount(t)
  const key = newKey()
  await fetch(`${box.url}/sealed`, {
    method: 'PUT',
    body: 'x',
    headers: {
      'x-ms-version': '2025-05-05',
      'x-ms-blob-type': 'BlockBlob',
      'x-ms-encryption-key': key.reveal(),
      'x-ms-encryption-key-sha256': key.sha256,
    },
  })

  const message = /give that key \(customerProvidedKey.*'abfs:\/\/box\/sealed'/
  await t.rejects(store.get(at('sealed')), { code: 'EACCES', message })
})

t.test('listings tell metadata, which each new version is asked for once', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  const { store } = account
  await put(account, 'dir', '', { hdi_isfolder: 'true' })
  await put(account, 'link', 'target', { is_symlink: 'true' })
  await put(account, 'script', 'run', { permissions: '33256' })
  const list = async () => {
    const before = verbsOf(account).length
    const { entries } = await store.listPage(at(''))
    const metadata = entries.map((entry) => entry.kind === 'blob' && entry.properties.metadata)
    return { metadata, verbs: verbsOf(account).slice(before).sort() }
  }
  const metadata = [{ hdi_isfolder: 'true' }, { is_symlink: 'true' }, { permissions: '33256' }]
  const heads = (count: number) => Array<string>(count).fill('GetBlobProperties')

  t.strictSame(await list(), { metadata, verbs: [...heads(3), 'ListBlobs'] })
  t.strictSame(await list(), { metadata, verbs: ['ListBlobs'] })
  await store.setMetadata(at('script'), { permissions: '33188' })
  const changed = [metadata[0], metadata[1], { permissions: '33188' }]
  t.strictSame(await list(), { metadata: changed, verbs: [...heads(1), 'ListBlobs'] })
  const before = verbsOf(account).length
  await store.setMetadata(at('link'), { a: '1' })
  await store.listPage(at(''), { metadata: false })
  t.strictSame(verbsOf(account).slice(before), ['SetBlobMetadata', 'ListBlobs'])
})

t.test('a listing stands while a blob in it goes', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  await put(account, 'gone', 'x', { a: '1' })
  const effect = { kind: 'status', status: 404, code: 'BlobNotFound' } as const
  account.control.replaceFaults([{ verb: 'GetBlobProperties', count: 1, effect }])

  const { entries } = await account.store.listPage(at(''))

  t.match(entries, [{ name: 'gone', properties: { metadata: {} } }])
})

t.test('a copy of a small one passes through here, with all that describes it', async (t) => {
  const customerKey = newKey()
  const account = await faultyAccount(t, { customerKey })
  const { store } = account
  const metadata = { colour: 'blue' }
  const headers = { contentLanguage: 'de', cacheControl: 'no-cache' }
  const data = Buffer.from('content')
  await store.put(at('a'), data, { metadata, headers, contentType: 'text/plain' })
  const before = verbsOf(account).length

  const { etag } = await store.copy(at('a'), at('b'))

  t.strictSame(verbsOf(account).slice(before), ['GetBlob', 'PutBlob'])
  const found = await store.head(at('b'))
  t.match(found, { etag, metadata, headers, contentType: 'text/plain' })
  t.equal(await textOf(account, 'b'), 'content')
  t.equal((await sumsOf(account))['b'], customerKey.sha256)
})

t.test('of a large one the service reads the blocks, or they pass through here', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  const { store, control } = account
  const content = randomBytes(10 * MiB)
  await store.put(at('large'), content, { metadata: { colour: 'blue' } })
  const copied = async (name: string) => {
    const before = verbsOf(account).length
    await store.copy(at('large'), at(name), { ifNoneMatch: '*' })
    const verbs = verbsOf(account).slice(before)
    const { data, properties } = await store.get(at(name))
    t.ok(content.equals(Buffer.from(data)), name)
    t.match(properties.metadata, { colour: 'blue' })
    return verbs
  }

  const served = ['GetBlob', 'PutBlock', 'PutBlockFromUrl', 'PutBlockList']
  t.strictSame(await copied('served'), served)
  const effect = { kind: 'status', status: 400, code: 'InvalidHeaderValue' } as const
  control.replaceFaults([{ verb: 'PutBlockFromUrl', count: 1, effect }])
  const relayed = await copied('relayed')
  t.equal(relayed.filter((verb) => verb === 'PutBlock').length, 3)
  t.equal(relayed.at(-1), 'PutBlockList')
})

t.test('a copy is of one version, and replaces no other than it is to', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  const { store } = account
  const { etag } = await put(account, 'a', 'one')
  await put(account, 'a', 'two')
  await put(account, 'b', 'there')

  const stale = store.copy(at('a'), at('c'), { sourceIfMatch: etag })
  await t.rejects(stale, { code: 'ESTALE' })
  await t.rejects(store.copy(at('a'), at('b'), { ifNoneMatch: '*' }), { code: 'EEXIST' })
  await t.rejects(store.copy(at('none'), at('c')), { code: 'ENOENT' })
  await t.rejects(store.head(at('c')), { code: 'ENOENT' })
  t.equal(await textOf(account, 'b'), 'there')
})

t.test('a large copy of what is replaced meanwhile is not made', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  const { store, control } = account
  await store.put(at('large'), randomBytes(9 * MiB))
  const effect = { kind: 'status', status: 412, code: 'SourceConditionNotMet' } as const
  control.replaceFaults([{ verb: 'PutBlockFromUrl', count: 1, effect }])

  await t.rejects(store.copy(at('large'), at('copy')), { code: 'ESTALE' })
  await t.rejects(store.head(at('copy')), { code: 'ENOENT' })
})

t.test('append blobs are not copied, and nothing is changed', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  const { store } = account
  await store.put(at('log'), new Uint8Array(0), { appendable: true })
  const options: AppendOptions = { position: 0 }
  await store.appendBlock(at('log'), Buffer.from('line'), options)

  const message = /an? AppendBlob that a key .* neither copied nor renamed/
  await t.rejects(store.copy(at('log'), at('to')), { code: 'ENOTSUP', message })
  t.equal(await textOf(account, 'log'), 'line')
  await t.rejects(store.head(at('to')), { code: 'ENOENT' })
})

t.test('a former state is read and not restored', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  const { store, administration } = account
  await put(account, 'a', 'one', { colour: 'blue' })
  const snapshot = await administration.createSnapshot(at('a'))
  await put(account, 'a', 'two', { colour: 'red' })

  const restored = administration.restore(at('a'), { snapshot })
  await t.rejects(restored, { code: 'ENOTSUP', message: /write it anew/ })
  const { data } = await store.get(at('a'), { former: { snapshot } })
  t.equal(Buffer.from(data).toString(), 'one')
  t.equal(await textOf(account, 'a'), 'two')
  const { entries } = await store.listPage(at(''), { snapshots: true })
  const metadata = entries.map((entry) => entry.kind === 'blob' && entry.properties.metadata)
  t.strictSame(metadata, [{ colour: 'blue' }, { colour: 'red' }], 'each has its own metadata')
})

t.test('a blob that is copied onto itself keeps its bytes, whatever is staged', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  const { store } = account
  const idOf = (text: string) => Buffer.from(text.padEnd(16)).toString('base64')
  const parts = [randomBytes(1000), randomBytes(2000)]
  for (const [index, part] of parts.entries())
    await store.stageBlock(at('a'), idOf(`${index}`), part)
  await store.commitBlocks(at('a'), [idOf('0'), idOf('1')], { metadata: { colour: 'blue' } })
  await store.stageBlock(at('a'), idOf('left'), randomBytes(10))
  await put(account, 'small', 'content')

  await store.copy(at('a'), at('a'))
  await store.copy(at('small'), at('small'))

  t.strictSame(await store.getStagedBlocks(at('a')), [])
  const { data, properties } = await store.get(at('a'))
  t.ok(Buffer.concat(parts).equals(Buffer.from(data)))
  t.match(properties.metadata, { colour: 'blue' })
  t.equal(await textOf(account, 'small'), 'content')
})

t.test('so does a large one that was put at once, by blocks beside others', async (t) => {
  const account = await faultyAccount(t, { customerKey: newKey() })
  const { store, control } = account
  const idOf = (text: string, length: number) => Buffer.from(text.padEnd(length)).toString('base64')
  const bytes = randomBytes(10 * MiB)
  await store.put(at('a'), bytes, { metadata: { colour: 'blue' } })
  await store.stageBlock(at('a'), idOf('left', 30), randomBytes(10))
  await store.put(at('b'), bytes)
  const began = control.ledger.entries().length

  await store.copy(at('a'), at('a'))
  await store.copy(at('b'), at('b'))

  const verbs = control.ledger.entries().slice(began)
  t.notOk(verbs.some(({ verb }) => verb === 'PutBlob'))
  t.equal(verbs.filter(({ verb }) => verb === 'PutBlockList').length, 2)
  t.strictSame(await store.getStagedBlocks(at('a')), [])
  const { data, properties } = await store.get(at('a'))
  t.ok(bytes.equals(data))
  t.match(properties.metadata, { colour: 'blue' })
  t.ok(bytes.equals((await store.get(at('b'))).data))

  // Beside ids of four bytes none would be this copy's own.
  await store.put(at('c'), bytes)
  await store.stageBlock(at('c'), idOf('1', 4), randomBytes(10))
  await store.copy(at('c'), at('c'))
  t.strictSame(await store.getStagedBlocks(at('c')), [])
  t.ok(bytes.equals((await store.get(at('c'))).data))
})

t.test('files and trees are renamed, and lie at one place at least whatever fails', async (t) => {
  const customerKey = newKey()
  const account = await faultyAccount(t, { customerKey, maxAttempts: 1 })
  const { store, control } = account
  await put(account, 'file', 'content')
  await put(account, 'tree/one', 'one', { permissions: '33256' })
  await put(account, 'tree/two', 'two')
  const namespace = new Namespace({ store })

  const effect = { kind: 'status', status: 500, code: 'InternalError' } as const
  for (const verb of ['PutBlob', 'DeleteBlob'] as const) {
    control.replaceFaults([{ verb, count: 1, effect }])
    await t.rejects(namespace.rename(at('file'), at('moved')), { code: 'EIO' })
    t.equal(await textOf(account, 'file'), 'content')
  }
  control.replaceFaults([])
  await namespace.rename(at('file'), at('moved'))
  await namespace.rename(at('tree'), at('grove'))

  t.equal(await textOf(account, 'moved'), 'content')
  t.equal(await textOf(account, 'grove/one'), 'one')
  t.match((await store.head(at('grove/one'))).metadata, { permissions: '33256' })
  const { sha256 } = customerKey
  const sums = await sumsOf(account)
  t.strictSame(sums, { 'grove/one': sha256, 'grove/two': sha256, moved: sha256 })
})
