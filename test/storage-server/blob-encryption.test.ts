import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import { refusalOf, startBlobServer } from '../support/blob-server.ts'
import { faultyAccount } from '../support/faulty-account.ts'

t.test('encryption scopes', async (t) => {
  const { container, service, account } = await startBlobServer(t)

  t.test('are told of what was written in one, by answers and listings', async (t) => {
    const blob = container.getBlockBlobClient('told')
    const made = await blob.upload('x', 1, { encryptionScope: 'one' })
    t.equal(made.encryptionScope, 'one')
    t.equal((await blob.getProperties()).encryptionScope, 'one')
    const { _response: answer } = await blob.download()
    t.equal(answer.parsedHeaders.encryptionScope, 'one')
    await container.getBlockBlobClient('told-not').upload('x', 1)
    const listed: Record<string, string | undefined> = {}
    for await (const { name, properties } of container.listBlobsFlat({ prefix: 'told' })) {
      listed[name] = properties.encryptionScope
    }
    t.strictSame(listed, { told: 'one', 'told-not': undefined })
  })

  t.test('are kept by what changes a blob: another or none is 409', async (t) => {
    const blob = container.getBlockBlobClient('changed')
    await blob.upload('x', 1, { encryptionScope: 'one' })
    await blob.setMetadata({ a: '1' }, { encryptionScope: 'one' })
    await blob.createSnapshot({ encryptionScope: 'one' })
    await blob.setHTTPHeaders({ blobContentType: 'text/plain' })
    const mismatch = '409 BlobCustomerSpecifiedEncryptionMismatch'

    t.equal(await refusalOf(blob.setMetadata({}, { encryptionScope: 'two' })), mismatch)
    t.equal(await refusalOf(blob.createSnapshot({ encryptionScope: 'two' })), mismatch)
    const without = '409 BlobUsesCustomerSpecifiedEncryption'
    t.equal(await refusalOf(blob.setMetadata({})), without)
    const append = container.getAppendBlobClient('appended')
    await append.create({ encryptionScope: 'one' })
    t.equal(await refusalOf(append.appendBlock('x', 1)), without)
    await append.appendBlock('x', 1, { encryptionScope: 'one' })
    await blob.upload('y', 1, { encryptionScope: 'two' })
    t.equal((await blob.getProperties()).encryptionScope, 'two', 'but what replaces it')
  })

  t.test('are those of all blocks of a list', async (t) => {
    const blob = container.getBlockBlobClient('blocks')
    const id = Buffer.from('a').toString('base64')
    await blob.stageBlock(id, 'x', 1, { encryptionScope: 'one' })

    const mismatch = '409 BlobCustomerSpecifiedEncryptionMismatch'
    t.equal(await refusalOf(blob.commitBlockList([id])), mismatch)
    await blob.commitBlockList([id], { encryptionScope: 'one' })
    t.equal(await refusalOf(blob.commitBlockList([id], { encryptionScope: 'two' })), mismatch)
    await blob.commitBlockList([id], { encryptionScope: 'one' })
  })

  t.test('have a default in a container, which may take no other', async (t) => {
    const own = service.getContainerClient('defaults')
    await own.create({
      containerEncryptionScope: {
        defaultEncryptionScope: 'one',
        preventEncryptionScopeOverride: true,
      },
    })
    const { defaultEncryptionScope, denyEncryptionScopeOverride } = await own.getProperties()
    t.strictSame([defaultEncryptionScope, denyEncryptionScopeOverride], ['one', true])
    const blob = own.getBlockBlobClient('b')
    await blob.upload('x', 1)
    t.equal((await blob.getProperties()).encryptionScope, 'one')
    await blob.setMetadata({ a: '1' })
    const other = blob.upload('x', 1, { encryptionScope: 'two' })
    t.equal(await refusalOf(other), '403 RequestForbiddenByContainerEncryptionPolicy')
  })

  t.test('are taken by copies that are done with their answer, and by no others', async (t) => {
    const from = container.getBlockBlobClient('from')
    await from.upload('x', 1, { encryptionScope: 'one' })
    const to = container.getBlockBlobClient('to')
    await to.syncCopyFromURL(from.url, { encryptionScope: 'two' })
    t.equal((await to.getProperties()).encryptionScope, 'two')
    await (await to.beginCopyFromURL(from.url)).pollUntilDone()
    t.equal((await to.getProperties()).encryptionScope, undefined)
    t.ok(account)
  })
})

t.test('keys of the customer', async (t) => {
  const { box } = await faultyAccount(t)
  const sent = (key: Buffer) => ({
    'x-ms-encryption-key': key.toString('base64'),
    'x-ms-encryption-key-sha256': createHash('sha256').update(key).digest('base64'),
    'x-ms-encryption-algorithm': 'AES256',
  })
  const key = sent(randomBytes(32))
  const ask = async (method: string, name: string, headers: Record<string, string>) => {
    const versioned = { 'x-ms-version': '2025-05-05', 'x-ms-blob-type': 'BlockBlob', ...headers }
    const body = method === 'PUT' ? { body: 'content' } : {}
    const answer = await fetch(`${box.url}/${name}`, { method, headers: versioned, ...body })
    await answer.arrayBuffer()
    const { headers: told } = answer
    const sum = told.get('x-ms-encryption-key-sha256')
    return { status: answer.status, code: told.get('x-ms-error-code'), sum }
  }
  const { 'x-ms-encryption-key-sha256': sum } = key

  t.strictSame(await ask('PUT', 'kept', key), { status: 201, code: null, sum })
  t.strictSame(await ask('HEAD', 'kept', key), { status: 200, code: null, sum })
  const without = { status: 409, code: 'BlobUsesCustomerSpecifiedEncryption', sum: null }
  t.strictSame(await ask('HEAD', 'kept', {}), without)
  t.strictSame(await ask('GET', 'kept', {}), without)
  t.strictSame(await ask('GET', 'kept', sent(randomBytes(32))), {
    ...without,
    code: 'BlobCustomerSpecifiedEncryptionMismatch',
  })
  const wrong = { ...key, 'x-ms-encryption-key-sha256': 'AAAA' }
  t.match(await ask('PUT', 'kept', wrong), { status: 400, code: 'InvalidHeaderValue' })
  const both = { ...key, 'x-ms-encryption-scope': 'one' }
  t.match(await ask('PUT', 'kept', both), { status: 400, code: 'InvalidHeaderValue' })
  const list = await fetch(`${box.url}?restype=container&comp=list&include=metadata`)
  const text = await list.text()
  t.match(text, `<CustomerProvidedKeySha256>${sum}</CustomerProvidedKeySha256>`)
  t.match(text, '<Metadata Encrypted="true" />')
  const copied = await fetch(`${box.url}/copy`, {
    method: 'PUT',
    headers: { 'x-ms-version': '2025-05-05', 'x-ms-copy-source': `${box.url}/kept` },
  })
  t.equal(copied.headers.get('x-ms-error-code'), 'CannotVerifyCopySource')
})
