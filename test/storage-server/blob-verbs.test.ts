import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { BlobSASPermissions } from '@azure/storage-blob'
import t from 'tap'
import { refusalOf, startBlobServer } from '../support/blob-server.ts'

function blockId(at: number): string {
  return Buffer.from(String(at).padStart(6, '0')).toString('base64')
}

void t.test('a block blob comes back with everything it was given', async (t) => {
  const { container, keyService } = await startBlobServer(t)
  const blob = container.getBlockBlobClient('dir/a b.txt')
  const blobHTTPHeaders = {
    blobContentType: 'text/plain',
    blobContentLanguage: 'en',
    blobContentEncoding: 'identity',
    blobContentDisposition: 'inline',
    blobCacheControl: 'no-cache',
  }
  const md5 = createHash('md5').update('hello').digest()

  const put = await blob.upload('hello', 5, { blobHTTPHeaders, metadata: { Aa: '1' } })
  const signed = keyService.getContainerClient('first').getBlockBlobClient('dir/a b.txt')
  const properties = await signed.getProperties()
  const whole = await blob.downloadToBuffer()

  t.equal(whole.toString(), 'hello')
  t.match(properties, {
    contentLength: 5,
    etag: put.etag,
    contentType: 'text/plain',
    contentLanguage: 'en',
    contentEncoding: 'identity',
    contentDisposition: 'inline',
    cacheControl: 'no-cache',
    blobType: 'BlockBlob',
    accessTier: 'Hot',
    accessTierInferred: true,
    leaseState: 'available',
    leaseStatus: 'unlocked',
  })
  t.same(properties.metadata, { aa: '1' })
  t.same(Buffer.from(properties.contentMD5 ?? []), md5)
  t.same(Buffer.from(put.contentMD5 ?? []), md5)
})

void t.test('a body that is not what its checksum says is refused and not stored', async (t) => {
  const { container } = await startBlobServer(t)
  const blob = container.getBlockBlobClient('a')
  const transactionalContentMD5 = createHash('md5').update('other').digest()
  const transactionalContentCrc64 = new Uint8Array(8)

  const md5 = await refusalOf(blob.stageBlock('AAAA', 'hello', 5, { transactionalContentMD5 }))
  const crc = await refusalOf(blob.stageBlock('AAAA', 'hello', 5, { transactionalContentCrc64 }))
  const own = await refusalOf(
    blob.upload('hello', 5, { blobHTTPHeaders: { blobContentMD5: transactionalContentMD5 } }),
  )

  t.equal(md5, '400 Md5Mismatch')
  t.equal(crc, '400 Crc64Mismatch')
  t.equal(own, '400 Md5Mismatch')
  t.equal(await refusalOf(blob.getBlockList('all')), '404 BlobNotFound')
})

void t.test('ranges come with their checksums', async (t) => {
  const { container } = await startBlobServer(t)
  const blob = container.getBlockBlobClient('a')
  await blob.upload('0123456789', 10)

  const md5 = await blob.download(2, 3, { rangeGetContentMD5: true })
  const crc = await blob.download(0, 9, { rangeGetContentCrc64: true })

  t.same(Buffer.from(md5.contentMD5 ?? []), createHash('md5').update('234').digest())
  t.equal(md5.contentRange, 'bytes 2-4/10')
  t.equal(crc._response.headers.get('x-ms-content-crc64'), naiveCrc64('012345678'))
  t.equal(
    await refusalOf(blob.download(0, undefined, { rangeGetContentMD5: true })),
    '400 InvalidHeaderValue',
  )
  t.equal(await refusalOf(blob.download(10, 1)), '416 InvalidRange')
})

function naiveCrc64(text: string): string {
  let crc = 0xffff_ffff_ffff_ffffn
  for (const byte of Buffer.from(text)) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++)
      crc = crc & 1n ? (crc >> 1n) ^ 0x9a6c_9329_ac4b_c9b5n : crc >> 1n
  }
  const out = Buffer.alloc(8)
  out.writeBigUInt64LE(crc ^ 0xffff_ffff_ffff_ffffn)
  return out.toString('base64')
}

void t.test('a block list mixes committed and staged blocks', async (t) => {
  const { container } = await startBlobServer(t)
  const blob = container.getBlockBlobClient('a')
  for (const [at, text] of ['AAA', 'BBB', 'CCC'].entries()) {
    await blob.stageBlock(blockId(at), text, 3)
  }
  await blob.commitBlockList([blockId(0), blockId(1), blockId(2)])
  await blob.stageBlock(blockId(1), 'bbbb', 4)

  const before = await blob.getBlockList('all')
  await blob.commitBlockList([blockId(2), blockId(1), blockId(0)])
  const after = await blob.getBlockList('all')

  t.same(
    before.committedBlocks?.map(({ size }) => size),
    [3, 3, 3],
  )
  t.same(
    before.uncommittedBlocks?.map(({ name, size }) => [name, size]),
    [[blockId(1), 4]],
  )
  t.equal((await blob.downloadToBuffer()).toString(), 'CCCbbbbAAA')
  t.same(after.uncommittedBlocks ?? [], [])
  t.equal(await refusalOf(blob.commitBlockList([blockId(7)])), '400 InvalidBlockList')
  t.equal(await refusalOf(blob.commitBlockList(['!'])), '400 InvalidBlockId')
  await blob.stageBlock(blockId(1), 'x', 1)
  t.equal(await refusalOf(blob.stageBlock('AAAA', 'x', 1)), '400 InvalidBlobOrBlock')
})

void t.test('of ten writers that must not replace exactly one wins', async (t) => {
  const { container } = await startBlobServer(t)
  const blob = container.getBlockBlobClient('a')
  const conditions = { ifNoneMatch: '*' }

  const results = await Promise.allSettled(
    Array.from({ length: 10 }, (_, at) => blob.upload(String(at), 1, { conditions })),
  )

  t.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
  t.equal(await refusalOf(blob.upload('x', 1, { conditions })), '409 BlobAlreadyExists')
})

void t.test('conditions decide reads and writes as the service does', async (t) => {
  const { container, clock } = await startBlobServer(t)
  const blob = container.getBlockBlobClient('a')
  const absent = container.getBlockBlobClient('absent')
  const { etag = '' } = await blob.upload('one', 3, { tags: { a: '1' } })
  const later = new Date(clock.nowMs() + 60_000)
  const earlier = new Date(clock.nowMs() - 60_000)
  const read = (conditions: object) => refusalOf(blob.getProperties({ conditions }))
  const write = (conditions: object) => refusalOf(blob.upload('two', 3, { conditions }))

  t.equal(await read({ ifMatch: '"0x1"' }), '412 ConditionNotMet')
  t.equal(
    await refusalOf(blob.download(0, undefined, { conditions: { ifNoneMatch: etag } })),
    '304 undefined',
  )
  t.equal(await read({ ifUnmodifiedSince: earlier }), '412 ConditionNotMet')
  t.equal(await read({ tagConditions: '"a" = \'2\'' }), '412 ConditionNotMet')
  t.equal(await write({ ifMatch: '"0x1"' }), '412 ConditionNotMet')
  t.equal(await write({ ifNoneMatch: etag }), '412 ConditionNotMet')
  t.equal(await write({ ifModifiedSince: later }), '412 ConditionNotMet')
  t.equal(
    await refusalOf(absent.upload('x', 1, { conditions: { ifMatch: '*' } })),
    '412 ConditionNotMet',
  )
  await blob.getProperties({ conditions: { ifMatch: etag, tagConditions: '"a" = \'1\'' } })
  await blob.upload('three', 5, { conditions: { ifMatch: etag, ifUnmodifiedSince: later } })
})

void t.test('containers keep metadata, policies and public access', async (t) => {
  const { service } = await startBlobServer(t)
  const container = service.getContainerClient('second')
  await container.create({ metadata: { Aa: '1' }, access: 'blob' })
  const startsOn = new Date(Date.UTC(2026, 0, 1))
  const policy = { id: 'p', accessPolicy: { startsOn, permissions: 'rl' } }

  t.equal(await refusalOf(container.create()), '409 ContainerAlreadyExists')
  t.match(await container.getProperties(), { metadata: { aa: '1' }, blobPublicAccess: 'blob' })
  await container.setMetadata({ b: '2' })
  t.same((await container.getProperties()).metadata, { b: '2' })
  t.equal(await refusalOf(container.setAccessPolicy(undefined, [])), '403 AuthorizationFailure')
  t.ok(policy)
  t.equal(await refusalOf(service.getContainerClient('No').create()), '400 OutOfRangeInput')
  t.equal(await refusalOf(service.getContainerClient('No-pe').create()), '400 InvalidResourceName')
})

void t.test('stored access policies come back as they went', async (t) => {
  const { keyService } = await startBlobServer(t)
  const container = keyService.getContainerClient('first')
  const startsOn = new Date(Date.UTC(2026, 0, 1))
  const expiresOn = new Date(Date.UTC(2027, 0, 1))

  await container.setAccessPolicy('container', [
    { id: 'p', accessPolicy: { startsOn, expiresOn, permissions: 'rl' } },
  ])
  const { signedIdentifiers, blobPublicAccess } = await container.getAccessPolicy()

  t.equal(blobPublicAccess, 'container')
  t.match(signedIdentifiers, [
    { id: 'p', accessPolicy: { startsOn, expiresOn, permissions: 'rl' } },
  ])
})

void t.test('containers are listed in pages, deleted ones on request', async (t) => {
  const { service } = await startBlobServer(t, { containerSoftDeleteDays: 7 })
  for (const name of ['aaa', 'bbb', 'ccc'])
    await service.createContainer(name, { metadata: { n: name } })
  await service.deleteContainer('bbb')
  const pages: string[][] = []
  for await (const page of service.listContainers().byPage({ maxPageSize: 2 })) {
    pages.push(page.containerItems.map(({ name }) => name))
  }
  const deleted: string[] = []
  let version = ''
  for await (const item of service.listContainers({ includeDeleted: true, prefix: 'b' })) {
    deleted.push(item.name)
    version = item.version ?? ''
  }
  await service.undeleteContainer('bbb', version)

  t.same(pages, [['aaa', 'ccc'], ['first']])
  t.same(deleted, ['bbb'])
  t.same((await service.getContainerClient('bbb').getProperties()).metadata, { n: 'bbb' })
})

void t.test('service properties switch soft deletion and keep the rest', async (t) => {
  const { service } = await startBlobServer(t)
  const container = service.getContainerClient('first')
  const cors = [
    {
      allowedOrigins: '*',
      allowedMethods: 'GET',
      allowedHeaders: '',
      exposedHeaders: '',
      maxAgeInSeconds: 5,
    },
  ]

  await service.setProperties({ cors, deleteRetentionPolicy: { enabled: true, days: 3 } })
  await container.uploadBlockBlob('a', 'x', 1)
  await container.deleteBlob('a')
  await container.getBlobClient('a').undelete()

  t.match(await service.getProperties(), { deleteRetentionPolicy: { enabled: true, days: 3 } })
  t.match((await service.getProperties()).cors?.[0], { allowedOrigins: '*', maxAgeInSeconds: 5 })
  t.equal((await container.getBlobClient('a').getProperties()).contentLength, 1)
  t.match(await service.getAccountInfo(), {
    skuName: 'Standard_LRS',
    isHierarchicalNamespaceEnabled: false,
  })
})

void t.test('on hierarchical accounts blobs and directories exclude each other', async (t) => {
  const { container } = await startBlobServer(t, { hierarchical: true })
  await container.getBlockBlobClient('d/e/f').upload('x', 1)

  const directory = await container.getBlobClient('d/e').getProperties()

  t.same(directory.metadata, { hdi_isfolder: 'true' })
  t.equal(directory._response.headers.get('x-ms-resource-type'), 'directory')
  t.equal(
    await refusalOf(container.getBlockBlobClient('d/e').upload('x', 1)),
    '409 ResourceTypeMismatch',
  )
  t.equal(await refusalOf(container.getBlobClient('d').delete()), '409 DirectoryIsNotEmpty')
  t.match(await refusalOf(container.getBlockBlobClient('d/e/f/g').upload('x', 1)), /^409 /)
  await container.getBlobClient('d/e/f').delete()
  await container.getBlobClient('d/e').delete()
  t.ok(await container.getBlobClient('d').exists())
})

void t.test('what cannot be understood is refused and the server goes on', async (t) => {
  const { endpoint, sas, container } = await startBlobServer(t)
  const ask = async (
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: string,
  ) => {
    const answer = await fetch(`${endpoint}${path}`, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    })
    const code = answer.headers.get('x-ms-error-code')
    const text = await answer.text()
    if (method !== 'HEAD') t.match(text, `<Code>${code}</Code>`)
    return `${answer.status} ${code}`
  }
  const type = { 'x-ms-blob-type': 'BlockBlob' }

  t.equal(await ask('GET', `/first/a?comp=nothing&${sas}`), '400 InvalidQueryParameterValue')
  t.equal(await ask('POST', `/first/a?${sas}`), '405 UnsupportedHttpVerb')
  t.equal(await ask('PUT', `/first/a?${sas}`, {}, 'x'), '400 MissingRequiredHeader')
  t.equal(
    await ask('PUT', `/first/a?${sas}`, { 'x-ms-blob-type': 'Blob' }, 'x'),
    '400 InvalidHeaderValue',
  )
  t.equal(
    await ask('PUT', `/first/a?${sas}`, { ...type, 'content-md5': 'x' }, 'x'),
    '400 InvalidMd5',
  )
  t.equal(await ask('PUT', `/first/${'x'.repeat(1025)}?${sas}`, type, 'x'), '400 OutOfRangeInput')
  t.equal(
    await ask('PUT', `/first/a?comp=block&blockid=%21&${sas}`, {}, 'x'),
    '400 InvalidQueryParameterValue',
  )
  t.equal(
    await ask('PUT', `/first/a?comp=block&${sas}`, {}, 'x'),
    '400 MissingRequiredQueryParameter',
  )
  t.equal(
    await ask('PUT', `/first/a?comp=blocklist&${sas}`, {}, '<BlockList>'),
    '400 InvalidXmlDocument',
  )
  t.equal(await ask('PUT', `/none/a?${sas}`, type, 'x'), '404 ContainerNotFound')
  t.equal(await ask('GET', `/first/a?snapshot=x&${sas}`), '400 InvalidQueryParameterValue')
  t.equal(await ask('HEAD', `/first/none?${sas}`), '404 BlobNotFound')
  await container.getBlockBlobClient('a').upload('x', 1)
})

void t.test('what is no HTTP, and bodies that end early, leave the server standing', async (t) => {
  const { endpoint, sas, container } = await startBlobServer(t)
  const { port } = new URL(endpoint)
  const send = (text: string, end: boolean) =>
    new Promise<string>((resolve, reject) => {
      let answer = ''
      const socket = connect(Number(port), '127.0.0.1', () =>
        end ? socket.end(text) : socket.write(text),
      )
      socket.on('data', (chunk) => {
        answer += chunk
      })
      socket.on('close', () => resolve(answer))
      socket.on('error', reject)
    })
  const path = new URL(`${endpoint}/first/cut?${sas}`)
  const head = `PUT ${path.pathname}${path.search} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-ms-blob-type: BlockBlob\r\n`

  t.match(await send('nonsense\r\n\r\n', false), /^HTTP\/1.1 400 /)
  await send(`${head}content-length: 10\r\n\r\nabc`, true)
  const chunked = await send(
    `${head}connection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`,
    false,
  )

  t.match(chunked, /^HTTP\/1.1 201 /)
  t.equal((await container.getBlobClient('cut').downloadToBuffer()).toString(), 'abc')
})

void t.test('a header that a signature makes impossible is refused', async (t) => {
  const { container, keyService } = await startBlobServer(t)
  await container.getBlockBlobClient('a').upload('x', 1)
  const signed = await keyService
    .getContainerClient('first')
    .getBlobClient('a')
    .generateSasUrl({
      permissions: BlobSASPermissions.parse('r'),
      expiresOn: new Date(Date.now() + 3_600_000),
      contentType: 'a\nb',
    })

  const answer = await fetch(signed)

  t.equal(`${answer.status} ${answer.headers.get('x-ms-error-code')}`, '400 InvalidInput')
  t.match(await answer.text(), '<Code>InvalidInput</Code>')
})

void t.test('a framed body is refused, not stored with its frames', async (t) => {
  const { endpoint, sas } = await startBlobServer(t)
  const headers = {
    'x-ms-blob-type': 'BlockBlob',
    'x-ms-structured-body': 'XSM/1.0; properties=crc64',
  }

  const answer = await fetch(`${endpoint}/first/a?${sas}`, { method: 'PUT', headers, body: 'x' })

  t.equal(`${answer.status} ${answer.headers.get('x-ms-error-code')}`, '400 UnsupportedHeader')
})
