import { join } from 'node:path'
import t from 'tap'
import { MiB } from '../../src/byte-range.ts'
import { systemClock } from '../../src/clock.ts'
import { sasCredential } from '../../src/credential/credential.ts'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { collect } from '../../src/filesystem/walk.ts'
import { keySignatures } from '../../src/given-credential.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { administered } from '../support/administered.ts'
import { startBlobServer } from '../support/blob-server.ts'
import { memoryFileSystem } from '../support/file-system.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'
import { unsignedToken } from '../support/unsigned-token.ts'

type Settings = Parameters<typeof startBlobServer>[1]

/** An account of the local storage server with a container `first`, signed in to with its key. */
async function serverFileSystem(t: Parameters<typeof startBlobServer>[0], settings?: Settings) {
  const server = await startBlobServer(t, settings)
  const { clock } = server
  const provider = keySignatures(accountName, accountKeys[0], clock)
  const endpoint = new URL(server.endpoint)
  const fs = administered(t, { account: accountName, endpoint, provider, clock })
  return { fs, clock, server }
}

/** What holds on every flat account with a container `first`. */
function metadataTests(t: typeof import('tap').default, open: () => Promise<AzureBlobFileSystem>) {
  t.test('metadata is merged unless told otherwise, and shows in listings at once', async (t) => {
    const fs = await open()
    await fs.writeText('first/f', 'text', { metadata: { a: '1', b: '2' } })
    await fs.ls('first')

    t.strictSame(await fs.setMetadata('first/f', { B: '3', c: '4' }), { a: '1', b: '3', c: '4' })

    t.match(await fs.info('first/f'), { metadata: { a: '1', b: '3', c: '4' } })
    await fs.setMetadata('first/f', { only: 'this' }, { merge: false })
    t.strictSame(await fs.getMetadata('first/f'), { only: 'this' })
    t.equal(await fs.readText('first/f'), 'text')
  })

  t.test('metadata of another version than the one named stays', async (t) => {
    const fs = await open()
    const { etag } = await fs.writeText('first/g', 'text', { metadata: { a: '1' } })
    await fs.writeText('first/g', 'more', { metadata: { a: '2' } })

    const stale = fs.setMetadata('first/g', { a: '3' }, { ifMatch: etag })

    await t.rejects(stale, { code: 'ESTALE' })
    t.strictSame(await fs.getMetadata('first/g'), { a: '2' })
  })

  t.test('extended attributes are set, removed and kept when two set them at once', async (t) => {
    const fs = await open()
    await fs.writeText('first/x', 'text', { metadata: { a: '1', b: '2' } })

    await Promise.all([
      fs.setXattrs('first/x', { A: undefined, c: '3' }),
      fs.setXattrs('first/x', { d: '4' }),
    ])

    t.strictSame(await fs.getMetadata('first/x'), { b: '2', c: '3', d: '4' })
    t.equal(await fs.getXattr('first/x', 'C'), '3')
    t.equal(await fs.getXattr('first/x', 'a'), undefined)
    await t.rejects(fs.getMetadata('first/missing'), { code: 'ENOENT' })
  })
}

t.test('metadata in memory', async (t) => {
  const { fs, store } = await memoryFileSystem()
  await store.createContainer('first')
  metadataTests(t as typeof import('tap').default, async () => fs)
})

t.test('metadata on the storage server', async (t) => {
  const { fs } = await serverFileSystem(t)
  metadataTests(t as typeof import('tap').default, async () => fs)
})

t.test('tags are set, read, replaced and searched', async (t) => {
  const { fs } = await serverFileSystem(t)
  await fs.writeText('first/a', 'a')
  await fs.writeText('first/b', 'b')
  await fs.setTags('first/a', { state: 'done', owner: 'x y' })
  await fs.setTags('first/b', { state: 'open' })

  const found = await collect(fs.findByTags('first', `"state" = 'done'`))

  t.match(found, [{ container: 'first', name: 'a', tags: { state: 'done' } }])
  t.strictSame(await fs.getTags('first/a'), { state: 'done', owner: 'x y' })
  await fs.setTags('first/a', {})
  t.strictSame(await fs.getTags('first/a'), {})
  await t.rejects(fs.getTags('first/missing'), { code: 'ENOENT' })
  await t.rejects(collect(fs.findByTags('first', 'no expression')), { code: 'EINVAL' })
})

t.test('what is renamed keeps its tags and the tier that was chosen', async (t) => {
  const { fs } = await serverFileSystem(t)
  for (const name of ['f', 'd/a', 'd/b']) await fs.writeText(`first/${name}`, name)
  await fs.ls('first/d')
  for (const name of ['f', 'd/b']) {
    await fs.setTags(`first/${name}`, { state: 'done', owner: 'x y' })
    await fs.setTier(`first/${name}`, 'Cool')
  }

  await fs.mv('first/f', 'first/g')
  await fs.mv('first/d', 'first/e')

  for (const name of ['g', 'e/b']) {
    t.strictSame(await fs.getTags(`first/${name}`), { state: 'done', owner: 'x y' }, name)
    t.match(await fs.getTier(`first/${name}`), { tier: 'Cool' }, name)
  }
  t.strictSame(await fs.getTags('first/e/a'), {})
  t.match(await fs.getTier('first/e/a'), { tier: 'Hot' })
})

t.test('what has tags that may not be read is not renamed, nor is what it lies in', async (t) => {
  const { fs: owner, server } = await serverFileSystem(t)
  for (const name of ['f', 'd/a', 'd/b']) await owner.writeText(`first/${name}`, name)
  for (const name of ['f', 'd/b']) await owner.setTags(`first/${name}`, { state: 'done' })
  const permissions = ['read', 'list', 'create', 'write', 'delete'] as const
  const { search } = new URL(await owner.sign('first', { permissions }))
  const signature = sasCredential(search.slice(1), Number.MAX_SAFE_INTEGER)
  const provider = { getCredential: async () => signature }
  const { clock } = server
  const endpoint = new URL(server.endpoint)
  const fs = administered(t, { account: accountName, endpoint, provider, clock })

  await t.rejects(fs.mv('first/f', 'first/g'), { code: 'EACCES' })
  await t.rejects(fs.mv('first/d', 'first/e'), { code: 'EACCES' })

  const names = (await owner.find('first')).map(({ name }) => name)
  t.strictSame(names.sort(), ['first/d/a', 'first/d/b', 'first/f'])
})

t.test('a file that is appended to keeps its headers, tier and tags', async (t) => {
  const { fs, server } = await serverFileSystem(t)
  const blob = server.container.getBlobClient('log')
  for (const size of [3, 9 * MiB]) {
    await fs.pipeFile('first/log', new Uint8Array(size).fill(120))
    await blob.setHTTPHeaders({ blobContentType: 'text/x-log', blobContentEncoding: 'identity' })
    await fs.setTier('first/log', 'Cool')
    await fs.setTags('first/log', { state: 'open' })

    const file = await fs.open('first/log', 'a')
    await file.write('more')
    await file.close()

    t.equal(await fs.size('first/log'), size + 4)
    t.match(await blob.getProperties(), {
      contentType: 'text/x-log',
      contentEncoding: 'identity',
    })
    t.match(await fs.getTier('first/log'), { tier: 'Cool' })
    t.strictSame(await fs.getTags('first/log'), { state: 'open' })
  }
})

t.test('a file goes to the archive and comes back from it', async (t) => {
  const { fs } = await serverFileSystem(t)
  await fs.writeText('first/a', 'cold')
  await fs.setTier('first/a', 'Archive')

  await t.rejects(fs.readText('first/a'), { code: 'EREMOTEIO' })
  t.match(await fs.getTier('first/a'), { tier: 'Archive', archiveStatus: undefined })
  await fs.setTier('first/a', 'Hot', { rehydratePriority: 'High' })

  t.match(await fs.getTier('first/a'), {
    tier: 'Archive',
    archiveStatus: 'rehydrate-pending-to-hot',
  })
})

t.test('a snapshot keeps what a file was, is listed, read, restored and deleted', async (t) => {
  const { fs } = await serverFileSystem(t)
  await fs.writeText('first/f', 'before')
  const snapshot = await fs.createSnapshot('first/f')
  await fs.writeText('first/f', 'after')
  await fs.writeText('first/f2', 'another')

  const states = await fs.listVersions('first/f')

  t.match(
    states.map((state) => [state.name, state.snapshot, state.isCurrent]),
    [
      ['first/f', snapshot, false],
      ['first/f', undefined, true],
    ],
  )
  t.equal(String(Buffer.from(await fs.readVersion('first/f', { snapshot }))), 'before')
  const part = await fs.readVersion('first/f', { snapshot }, { start: 2, end: 4 })
  t.equal(String(Buffer.from(part)), 'fo')
  t.equal((await fs.readVersion('first/f', { snapshot }, { start: 99 })).length, 0)
  await fs.restoreVersion('first/f', { snapshot })
  t.equal(await fs.readText('first/f'), 'before')
  await fs.deleteVersion('first/f', { snapshot })
  await t.rejects(fs.readVersion('first/f', { snapshot }), { code: 'ENOENT' })
})

t.test('versions are listed and restored, of a deleted file too', async (t) => {
  const { fs } = await serverFileSystem(t, { versioning: true })
  await fs.writeText('first/f', 'one')
  await fs.writeText('first/f', 'two')
  const before = await fs.listVersions('first/f')
  const [old] = before.filter((state) => !state.isCurrent)
  const versionId = old?.versionId ?? ''

  t.equal(before.length, 2)
  t.equal(String(Buffer.from(await fs.readVersion('first/f', { versionId }))), 'one')
  await fs.rm('first/f')
  t.equal(await fs.exists('first/f'), false)
  await fs.restoreVersion('first/f', { versionId })

  t.equal(await fs.readText('first/f'), 'one')
  await fs.deleteVersion('first/f', { versionId })
  await t.rejects(fs.readVersion('first/f', { versionId }), { code: 'ENOENT' })
})

t.test('who writes is told the version that it became, where versions are kept', async (t) => {
  const { fs } = await serverFileSystem(t, { versioning: true })
  const piped = await fs.writeText('first/f', 'one')
  const writer = await fs.open('first/f', 'w')
  await writer.write('two')
  const written = await writer.close()
  const updated = await fs.update('first/f', () => Buffer.from('three'))
  const put = await fs.putFile(join(t.testdir({ f: 'four' }), 'f'), 'first/f')

  const texts = []
  for (const { versionId = '' } of [piped, written, updated, put]) {
    texts.push(String(Buffer.from(await fs.readVersion('first/f', { versionId }))))
  }
  t.strictSame(texts, ['one', 'two', 'three', 'four'])
  const { fs: plain } = await serverFileSystem(t)
  t.equal((await plain.writeText('first/f', 'x')).versionId, undefined)
})

t.test('what was deleted is listed and brought back, as long as it is kept', async (t) => {
  const { fs, clock } = await serverFileSystem(t, { softDeleteDays: 2 })
  for (const name of ['dir/a', 'dir/b', 'dirx']) await fs.writeText(`first/${name}`, name)
  await fs.rm(['first/dir/a', 'first/dir/b', 'first/dirx'])

  const deleted = await collect(fs.listDeleted('first/dir'))

  t.strictSame(
    deleted.map((state) => [state.name, state.isDeleted]),
    [
      ['first/dir/a', true],
      ['first/dir/b', true],
    ],
  )
  await fs.undelete('first/dir/a')
  t.equal(await fs.readText('first/dir/a'), 'dir/a')
  await clock.advance(3 * 24 * 60 * 60 * 1000)
  t.strictSame(await collect(fs.listDeleted('first')), [])
})

t.test('a URL signed with the account key opens what it names, and no more', async (t) => {
  const { fs, clock } = await serverFileSystem(t)
  await fs.writeText('first/dir/ü f', 'text')
  await fs.writeText('first/other', 'private')
  const url = await fs.sign('first/dir/ü f', { allowHttp: true, contentDisposition: 'inline; x' })

  const answer = await fetch(url)

  t.equal(await answer.text(), 'text')
  t.equal(answer.headers.get('content-disposition'), 'inline; x')
  t.equal((await fetch(url.replace('dir/%C3%BC%20f', 'other'))).status, 403)
  t.equal((await fetch(url, { method: 'DELETE' })).status, 403)
  const all = new URL(await fs.sign('first', { allowHttp: true, permissions: ['read', 'list'] }))
  t.equal((await fetch(`${all}&restype=container&comp=list`)).status, 200)
  await clock.advance(60 * 60 * 1000 + 1000)
  t.equal((await fetch(url)).status, 403)
  await t.rejects(fs.sign('first/other', { expiresInMs: 0 }), RangeError)
})

t.test('a directory of a hierarchical account is signed with all below it', async (t) => {
  const { fs } = await serverFileSystem(t, { hierarchical: true })
  await fs.writeText('first/dir/sub/f', 'text')
  await fs.writeText('first/dirx', 'private')
  const { search } = new URL(await fs.sign('first/dir', { directory: true, allowHttp: true }))
  const at = async (name: string) =>
    (await fetch(`${(await fs.sign(name, { allowHttp: true })).split('?')[0]}${search}`)).status

  t.equal(await at('first/dir/sub/f'), 200)
  t.equal(await at('first/dirx'), 403)
})

t.test('a bearer signs with a key that it was lent, within seven days', async (t) => {
  const sandbox = await startSandbox({ containers: ['first'] })
  t.teardown(() => sandbox.close())
  const { account, caPem: ca, blobEndpoint: endpoint } = sandbox
  const provider = { getCredential: async () => unsignedToken(account, systemClock.nowMs()) }
  const fs = administered(t, { account, endpoint, provider, clock: systemClock, ca })
  await fs.writeText('first/f', 'text')

  const url = new URL(await fs.sign('first/f'))

  t.match(Object.fromEntries(url.searchParams), { sr: 'b', sp: 'r', spr: 'https', skoid: /./ })
  const signature = sasCredential(url.search.slice(1), Number.MAX_SAFE_INTEGER)
  const holder = { getCredential: async () => signature }
  const theirs = administered(t, { account, endpoint, provider: holder, clock: systemClock, ca })
  t.equal(await theirs.readText('first/f'), 'text')
  await t.rejects(theirs.rmFile('first/f'), { code: 'EACCES' })
  await t.rejects(theirs.sign('first/f'), { code: 'EACCES', message: /sign in with Entra/ })
  const week = 7 * 24 * 60 * 60 * 1000
  await t.rejects(fs.sign('first/f', { expiresInMs: week + 60_000 }), RangeError)
})

t.test('without administration its calls say so', async (t) => {
  const { fs } = await memoryFileSystem()

  await t.rejects(fs.getTags('box/f'), { code: 'ENOTSUP', message: /createFileSystem/ })
  await t.rejects(fs.sign('box/f'), { code: 'ENOTSUP' })
})
