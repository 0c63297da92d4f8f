/** Copies between two accounts of one server, by signature and by token; through here where neither is lent. */
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB, MiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem, createFileSystem, sasProvider } from '../../src/index.ts'
import { type HttpEvent, httpChannel } from '../../src/telemetry.ts'
import { runAbfs, whyNoCli } from '../support/cli.ts'
import { type AccountKind, type ClientServer, startClientServer } from '../support/client-server.ts'
import { patternOf } from '../support/pattern.ts'

const server = await startClientServer(t)
const caFile = server.environment['NODE_EXTRA_CA_CERTS'] ?? ''

// The Azure SDK reads these from the process.
for (const [name, value] of Object.entries(server.environment)) {
  if (name.startsWith('AZURE_')) process.env[name] = value
}

type By = 'sas' | 'token'

async function open(
  { url, environment, signature }: ClientServer,
  kind: AccountKind,
  by: By,
  onLend: () => Promise<unknown> = async () => undefined,
): Promise<AzureBlobFileSystem> {
  const credential = sasProvider(async ({ permissions }) => {
    const lent = permissions.includes('write') ? undefined : await onLend()
    return { sas: typeof lent === 'string' ? lent : signature(kind) }
  })
  const fs = await createFileSystem({
    url: `${url}/${kind}`,
    caFile,
    environment,
    ...(by === 'sas' ? { credential } : {}),
  })
  t.teardown(() => fs.close())
  return fs
}

/** What goes over the wire until the returned function is called. */
function listen(): () => HttpEvent[] {
  const events: HttpEvent[] = []
  const note = (event: unknown) => events.push(event as HttpEvent)
  httpChannel.subscribe(note)
  return () => {
    httpChannel.unsubscribe(note)
    return events
  }
}

for (const [sourceBy, targetBy] of [
  ['sas', 'sas'],
  ['token', 'token'],
  ['sas', 'token'],
  ['token', 'sas'],
] as const) {
  t.test(`a file of an account by ${sourceBy} goes to one by ${targetBy}`, async (t) => {
    const from = await open(server, 'flat', sourceBy)
    const to = await open(server, 'hierarchical', targetBy)
    const data = patternOf(300 * KiB)
    const name = `data/${sourceBy}-${targetBy}`
    await from.pipeFile(name, data, { metadata: { owner: 'me' }, contentType: 'text/x-new' })
    await from.setContentSettings(name, { contentLanguage: 'nl' })
    const stop = listen()
    const info = await to.cpFile(name, `${name}-copy`, { from })
    const events = stop()
    t.match(info, { name: `${name}-copy`, size: data.length })
    t.notOk(
      events.some(({ operation }) => ['blob.get', 'blob.stageBlock'].includes(operation)),
      'no byte came here',
    )
    t.ok(
      events.some(({ operation, status }) => operation === 'blob.stageBlockFrom' && status === 201),
    )
    t.ok(Buffer.from(await to.catFile(`${name}-copy`)).equals(data))
    t.match(await to.getMetadata(`${name}-copy`), { owner: 'me' })
    t.match(await to.info(`${name}-copy`, { refresh: true }), { contentType: 'text/x-new' })
    await from.touch('data/empty')
    t.equal((await to.cpFile('data/empty', 'data/empty', { from })).size, 0)
  })
}

t.test('a large file goes in blocks', async (t) => {
  const from = await open(server, 'hierarchical', 'sas')
  const to = await open(server, 'flat', 'sas')
  const data = patternOf(65 * MiB)
  await from.pipeFile('data/large', data)
  const stop = listen()
  await to.cpFile('data/large', 'data/large', { from })
  t.equal(stop().filter(({ operation }) => operation === 'blob.stageBlockFrom').length, 2)
  t.ok(Buffer.from(await to.catFile('data/large')).equals(data))
})

t.test('a source that is replaced in the middle is ESTALE, and nothing is written', async (t) => {
  const writer = await open(server, 'flat', 'sas')
  await writer.writeText('data/moving', 'before')
  const from = await open(server, 'flat', 'sas', () => writer.writeText('data/moving', 'after'))
  const to = await open(server, 'hierarchical', 'sas')
  await t.rejects(to.cpFile('data/moving', 'data/moving', { from }), { code: 'ESTALE' })
  t.notOk(await to.exists('data/moving', { refresh: true }))
})

t.test('what is missing, refused or in the way is told as such', async (t) => {
  const from = await open(server, 'flat', 'sas')
  const to = await open(server, 'hierarchical', 'sas')
  await t.rejects(to.cpFile('data/none', 'data/none', { from }), { code: 'ENOENT' })
  await to.mkdir('data/dir')
  await from.writeText('data/dir', 'a file')
  await t.rejects(to.cpFile('data/dir', 'data/dir', { from }), { code: 'EISDIR' })
})

t.test('a tree goes as it does within an account', async (t) => {
  const from = await open(server, 'flat', 'token')
  const to = await open(server, 'hierarchical', 'sas')
  await from.pipe({ 'data/tree/a': Buffer.from('a'), 'data/tree/sub/b': Buffer.from('b') })
  const result = await to.copy('data/tree', 'data/copied', { from, recursive: true })
  t.match(result, { files: 2, bytes: 2 })
  t.same(
    (await to.find('data/copied')).map(({ name }) => name),
    ['data/copied/a', 'data/copied/sub/b'],
  )
})

t.test('where the service may not read the source the bytes pass through here', async (t) => {
  const spoiled = async () => server.signature('flat').replace(/sig=[^&]{4}/, 'sig=AAAA')
  const from = await open(server, 'flat', 'sas', spoiled)
  const to = await open(server, 'hierarchical', 'sas')
  const data = patternOf(300 * KiB)
  await from.pipeFile('data/closed', data, { metadata: { owner: 'me' } })
  const stop = listen()
  t.match(await to.cpFile('data/closed', 'data/opened', { from }), { size: data.length })
  const refused = stop().filter(({ operation }) => operation === 'blob.stageBlockFrom')
  t.ok(refused.length > 0 && refused.every(({ status = 0 }) => status >= 400))
  t.ok(Buffer.from(await to.catFile('data/opened')).equals(data))
  t.strictSame(await to.getMetadata('data/opened'), { owner: 'me' })
})

t.test('a source that is replaced before its bytes pass through here is ESTALE', async (t) => {
  const writer = await open(server, 'flat', 'sas')
  await writer.writeText('data/relayed', 'before')
  const replaced = async () => {
    await writer.writeText('data/relayed', 'after')
    return server.signature('flat').replace(/sig=[^&]{4}/, 'sig=AAAA')
  }
  const from = await open(server, 'flat', 'sas', replaced)
  const to = await open(server, 'hierarchical', 'sas')
  await t.rejects(to.cpFile('data/relayed', 'data/relayed-copy', { from }), { code: 'ESTALE' })
  t.equal(await to.exists('data/relayed-copy'), false)
})

t.test('between stores that lend nothing the bytes pass through here', async (t) => {
  const sides = []
  for (const account of ['one', 'two']) {
    const store = new MemoryBlobStore({ account })
    await store.createContainer('box')
    sides.push({ store, fs: new AzureBlobFileSystem({ store, blockBytes: 64 * KiB }) })
  }
  const [from, to] = sides.map(({ fs }) => fs)
  const [source, target] = sides.map(({ store }) => store)
  const data = patternOf(3 * MiB)
  const headers = { contentEncoding: 'gzip', cacheControl: 'no-store' }
  const path = { container: 'box', name: 'f' }
  await source?.put(path, data, { metadata: { owner: 'me' }, headers })
  await to?.cpFile('box/f', 'box/g', { from })
  t.ok(data.equals((await to?.catFile('box/g')) ?? Buffer.alloc(0)))
  t.match(await to?.getMetadata('box/g'), { owner: 'me' })
  t.match(await target?.head({ ...path, name: 'g' }), { headers })
})

t.test('abfs cp takes two accounts', { skip: whyNoCli() }, async (t) => {
  const from = await open(server, 'flat', 'sas')
  const to = await open(server, 'hierarchical', 'sas')
  await from.pipe({ 'data/cli/a': Buffer.from('a'), 'data/cli/sub/b': Buffer.from('bb') })
  const env = { ...server.environment, ABFS_CA_FILE: caFile }
  const place = (kind: AccountKind) => `${server.url}/${kind}/data/cli`
  const run = await runAbfs(['cp', '-r', '--json', place('flat'), place('hierarchical')], { env })
  t.equal(run.code, 0, run.stderr)
  t.match(JSON.parse(run.stdout), { files: 2, bytes: 3 })
  t.equal(await to.readText('data/cli/sub/b'), 'bb')
})
