import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerSASPermissions } from '@azure/storage-blob'
import t from 'tap'
import { AzureAdministration } from '../../src/blob/azure-administration.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { systemClock } from '../../src/clock.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { collect } from '../../src/filesystem/walk.ts'
import { fixedSignature, keySignatures } from '../../src/given-credential.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { administered } from '../support/administered.ts'
import { startBlobServer } from '../support/blob-server.ts'
import { memoryFileSystem, remoteFiles } from '../support/file-system.ts'
import { patternOf } from '../support/pattern.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

type Settings = Parameters<typeof startBlobServer>[1]

/** Clients of one account of the local storage server with a container `first`, and its clock. */
async function clients(t: Parameters<typeof startBlobServer>[0], settings?: Settings) {
  const { clock, endpoint: text } = await startBlobServer(t, settings)
  const provider = keySignatures(accountName, accountKeys[0], clock)
  const endpoint = new URL(text)
  const open = (): AzureBlobFileSystem =>
    administered(t, { account: accountName, endpoint, provider, clock })
  return { fs: open(), other: open(), clock }
}

t.test('of two who lock a file one gets it, and only who holds it writes', async (t) => {
  const { fs, other } = await clients(t)
  await fs.writeText('first/f', 'before')
  const lock = await fs.lock('first/f')

  await t.rejects(other.lock('first/f'), { code: 'EBUSY' })
  await t.rejects(other.writeText('first/f', 'theirs'), { code: 'EBUSY' })
  await t.rejects(other.rmFile('first/f'), { code: 'EBUSY' })
  await fs.writeText('first/f', 'mine', { leaseId: lock.leaseId })
  const file = await fs.open('first/f', 'w', { leaseId: lock.leaseId })
  await file.write(patternOf(20 * 1024 * KiB))
  await file.close()
  t.equal(await other.size('first/f', { refresh: true }), 20 * 1024 * KiB)
  t.ok(lock.isHeld)
  await lock.release()
  await lock.release()

  t.notOk(lock.isHeld)
  await other.writeText('first/f', 'theirs')
  t.equal(await fs.readText('first/f'), 'theirs')
})

t.test('a local file of any size is put with the lock of who holds it', async (t) => {
  const { fs } = await clients(t)
  const lock = await fs.lock('first/f')
  const directory = t.testdir({ small: 'small', large: 'l'.repeat(9 * MiB) })
  for (const name of ['small', 'large']) {
    const local = join(directory, name)
    await t.rejects(fs.putFile(local, 'first/f'), { code: 'EBUSY' }, `${name} without`)

    await fs.putFile(local, 'first/f', { leaseId: lock.leaseId })

    t.equal(await fs.readText('first/f'), await readFile(local, 'utf8'), name)
  }
  await lock.release()
})

t.test('a lock is renewed while it is held, and lost when nobody can renew it', async (t) => {
  const { fs, other, clock } = await clients(t)
  {
    await using lock = await fs.lock('first/new', { ttlMs: 15_000 })
    t.equal(await fs.size('first/new'), 0, 'the file is made')
    for (let second = 0; second < 40; second += 5) {
      await clock.advance(5000)
      // The renewal is a request: it takes a moment of real time.
      await fs.exists('first/new', { refresh: true })
    }
    await t.rejects(other.lock('first/new'), { code: 'EBUSY' })
    t.ok(lock.isHeld)
  }
  const second = await other.lock('first/new')
  await second.release()
  t.notOk(second.signal.aborted)
  await t.rejects(fs.lock('first/new', { ttlMs: 1000 }), RangeError)
})

t.test('a file is put once', async (t) => {
  const { fs } = await memoryFileSystem()
  t.match(await fs.putIfAbsent('box/f', Buffer.from('one')), { name: 'box/f', size: 3 })
  t.equal(await fs.putIfAbsent('box/f', Buffer.from('two')), undefined)
  t.equal(await fs.readText('box/f'), 'one')
})

t.test('a locked file is copied over, edited and deleted by the holder alone', async (t) => {
  const { fs, other } = await clients(t)
  await fs.writeText('first/f', 'text')
  await fs.writeText('first/source', 'copied')
  const { leaseId } = await fs.lock('first/f')
  await t.rejects(other.cpFile('first/source', 'first/f'), { code: 'EBUSY' })
  await t.rejects(other.rmFile('first/f'), { code: 'EBUSY' })
  const theirs = await other.open('first/f', 'r+')
  await theirs.writeAt(0, 'T')
  await t.rejects(theirs.close(), { code: 'EBUSY' })

  await fs.cpFile('first/source', 'first/f', { leaseId })
  t.equal(await fs.readText('first/f'), 'copied')
  const file = await fs.open('first/f', 'r+', { leaseId })
  await file.writeAt(0, 'C')
  await file.close()
  t.equal(await other.readText('first/f'), 'Copied')
  await fs.rmFile('first/f', { leaseId })
  t.equal(await fs.exists('first/f', { refresh: true }), false)
})

t.test('content settings are changed one by one', async (t) => {
  const { fs } = await clients(t)
  await fs.writeText('first/f', 'text', { contentType: 'text/plain', metadata: { k: 'v' } })
  await fs.setContentSettings('first/f', { cacheControl: 'no-store', contentLanguage: 'de' })
  await fs.setContentSettings('first/f', { contentLanguage: 'en' })
  const url = await fs.sign('first/f', { allowHttp: true })
  const { headers } = await fetch(url)

  t.equal(headers.get('content-type'), 'text/plain')
  t.equal(headers.get('cache-control'), 'no-store')
  t.equal(headers.get('content-language'), 'en')
  t.strictSame(await fs.getMetadata('first/f'), { k: 'v' })
  t.equal(await fs.readText('first/f'), 'text')
})

t.test('a former version is read with a position', async (t) => {
  const { fs } = await clients(t, { versioning: true })
  await fs.writeText('first/f', 'first version')
  await fs.writeText('first/f', 'second')
  const states = await fs.listVersions('first/f')
  const versionId = states.find(({ isCurrent }) => !isCurrent)?.versionId ?? ''
  await using file = await fs.openVersion('first/f', { versionId })

  t.equal(file.size, 13)
  t.equal(String(await file.read(5)), 'first')
  file.seek(-7)
  t.equal(String(Buffer.concat(await collect(file[Symbol.asyncIterator]()))), 'version')
  t.equal(file.tell(), 13)
  t.equal((await file.read(1)).length, 0)
  await file.close()
  await t.rejects(file.read(1), { code: 'EBADF' })
  await t.rejects(fs.openVersion('first/f', { versionId: '2020-01-01T00:00:00.0000000Z' }), {
    code: 'ENOENT',
  })
  const snapshot = await fs.createSnapshot('first/f')
  await fs.writeText('first/f', 'third')
  await using kept = await fs.openVersion('first/f', { snapshot })
  t.equal(String(await kept.read(100)), 'second')
})

t.test('a signature to upload uploads, and reads nothing', async (t) => {
  const { fs } = await clients(t)
  const url = await fs.signUpload('first/f', { allowHttp: true })
  const headers = { 'x-ms-blob-type': 'BlockBlob' }
  t.equal((await fetch(url, { method: 'PUT', body: 'sent', headers })).status, 201)
  t.equal((await fetch(url)).status, 403)
  for (const method of ['HEAD', 'DELETE']) {
    t.equal((await fetch(url, { method })).status, 403, method)
  }
  const elsewhere = url.replace('first/f', 'first/other')
  t.equal((await fetch(elsewhere, { method: 'PUT', body: 'x', headers })).status, 403)
  const listing = url.replace('/first/f?', '/first?restype=container&comp=list&')
  t.equal((await fetch(listing)).status, 403)
  const given = new URL(url).searchParams
  t.equal(given.get('sp'), 'cw')
  const lifeMs = Date.parse(given.get('se') ?? '') - Date.now()
  t.ok(lifeMs > 0 && lifeMs <= 3_600_000, `${lifeMs} ms`)
  t.equal(await fs.readText('first/f'), 'sent')
  t.equal(await fs.exists('first/other'), false)
  const flat = new URL(await fs.signDirectory('first/dir', { allowHttp: true }))
  t.match(Object.fromEntries(flat.searchParams), { sr: 'd', sdd: '1', sp: 'rl' })
})

t.test('a file is taken out of the archive', async (t) => {
  const { fs } = await clients(t)
  await fs.writeText('first/f', 'cold')
  await fs.setTier('first/f', 'Archive')
  await fs.rehydrate('first/f', { tier: 'Cool', rehydratePriority: 'High' })
  t.match(await fs.getTier('first/f'), { archiveStatus: 'rehydrate-pending-to-cool' })
})

t.test('what an account offers is told without changing anything', async (t) => {
  const plain = await clients(t)
  await plain.fs.writeText('first/f', 'x')
  t.strictSame(await plain.fs.capabilities('first'), {
    hierarchical: false,
    versioning: false,
    tags: true,
    softDelete: false,
    appendBlob: true,
    canSign: true,
    canListContainers: true,
    canList: true,
    canRead: true,
    canWrite: true,
    canDelete: true,
  })
  t.strictSame(await remoteFiles(plain.fs, 'first'), { f: 'x' })
  const kept = await clients(t, { versioning: true })
  t.match(await kept.fs.capabilities('first'), { versioning: undefined, canList: true })
  await kept.fs.writeText('first/f', 'x')
  t.match(await kept.fs.capabilities('first'), { versioning: true, canRead: true })
  t.match(await kept.fs.capabilities(), {
    canListContainers: true,
    canList: false,
    softDelete: undefined,
    appendBlob: undefined,
    canWrite: undefined,
    canDelete: undefined,
  })
  const softly = await clients(t, { softDeleteDays: 3 })
  t.match(await softly.fs.capabilities('first'), { softDelete: true, appendBlob: true })
  const { fs } = await memoryFileSystem()
  const inMemory = await fs.capabilities('box')
  t.match(inMemory, { hierarchical: false, canSign: false, canList: true })
  t.match(inMemory, { canWrite: true, canDelete: true })
  t.match(inMemory, { softDelete: undefined, appendBlob: undefined })
})

t.test('what a credential for one container may not ask is not known', async (t) => {
  const { clock, endpoint, keyService } = await startBlobServer(t, { softDeleteDays: 3 })
  const rights = { rl: [false, false], rlw: [true, false], rld: [false, true], rlwd: [true, true] }
  for (const [letters, [canWrite, canDelete]] of Object.entries(rights)) {
    const url = await keyService.getContainerClient('first').generateSasUrl({
      permissions: ContainerSASPermissions.parse(letters),
      expiresOn: new Date(clock.nowMs() + 3_600_000),
    })
    const provider = fixedSignature(new URL(url).search)
    const parts = { account: accountName, endpoint: new URL(endpoint), provider, clock }

    const found = await administered(t, parts).capabilities('first')

    const others = { canList: true, canListContainers: false, softDelete: undefined }
    t.match(found, { ...others, canWrite, canDelete }, letters)
  }
})

t.test('whoever reads what is public is not told that it may be changed', async (t) => {
  const { clock, endpoint, keyService } = await startBlobServer(t)
  await keyService.getContainerClient('first').setAccessPolicy('container')
  const provider = fixedSignature('')
  const parts = { account: accountName, endpoint: new URL(endpoint), provider, clock }

  const found = await administered(t, parts).capabilities('first')

  t.match(found, { canList: true, canWrite: false, canDelete: false })
})

t.test('Azurite tells the holder of a signature what may be changed', async (t) => {
  const sandbox = await startSandbox({ containers: ['box'] })
  t.teardown(() => sandbox.close())
  const { account, accountKey, caPem: ca, blobEndpoint: endpoint } = sandbox
  const given = { account, endpoint, ca, clock: systemClock }
  const owner = administered(t, {
    ...given,
    provider: keySignatures(account, accountKey, systemClock),
  })
  await owner.writeText('box/dir/f', 'x')
  const rights = [
    ['read', false, false],
    ['write', true, false],
    ['delete', false, true],
  ] as const
  for (const [right, canWrite, canDelete] of rights) {
    const url = await owner.sign('box', { permissions: ['list', right], allowHttp: true })
    const provider = fixedSignature(new URL(url).search)
    const found = await administered(t, { ...given, provider }).capabilities('box/dir')
    t.match(found, { canList: true, canRead: right === 'read', canWrite, canDelete }, right)
  }
  t.match(await owner.capabilities('box/dir'), { canWrite: true, canDelete: true })
  t.strictSame(await remoteFiles(owner, 'box'), { 'dir/f': 'x' })
})

t.test("an account's kind tells of append blobs, and nothing else does", async (t) => {
  const kinds = [
    ['StorageV2', 'Standard_ZRS', true],
    ['Storage', 'Premium_LRS', false],
    ['StorageV2', 'Premium_LRS', false],
    ['BlockBlobStorage', 'Premium_LRS', true],
    ['BlobStorage', 'Standard_LRS', true],
    ['FileStorage', 'Premium_LRS', undefined],
    [undefined, undefined, undefined],
  ] as const
  for (const [kind, sku, appendBlob] of kinds) {
    const headers = kind === undefined ? {} : { 'x-ms-account-kind': kind, 'x-ms-sku-name': sku }
    const administration = new AzureAdministration({
      account: accountName,
      endpoint: new URL('http://127.0.0.1:1/'),
      clock: systemClock,
      credentials: fixedSignature(''),
      http: async ({ operation }) => ({
        status: operation === 'account.info' ? 200 : 403,
        headers,
        body: new Uint8Array(),
      }),
    })
    const found = await administration.getFeatures('first')
    t.strictSame(found, { softDelete: undefined, appendBlob }, `${kind} ${sku}`)
  }
  const away = new AzureAdministration({
    account: accountName,
    endpoint: new URL('http://127.0.0.1:1/'),
    clock: systemClock,
    credentials: fixedSignature(''),
    http: async () => ({ status: 503, headers: {}, body: new Uint8Array() }),
  })
  await t.rejects(away.getFeatures('first'), FileSystemError, 'a failure is no answer')
})
