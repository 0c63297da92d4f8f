/** Changes of an account by the library and the command line, of a feed of another hand and of the sandbox's. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { systemClock } from '../../src/clock.ts'
import { type ChangesOptions, changesOf } from '../../src/filesystem/changes.ts'
import { fastavroFile, whyNoFastavro } from '../support/avro-files.ts'
import { runAbfs, startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'

const container = '$blobchangefeed'
const hours = ['2026/03/04/0500', '2026/03/04/0600'] as const
const text = (name: string) => ({ name, type: 'string' })
const schema = {
  type: 'record',
  name: 'BlobChangeEvent',
  fields: [
    ...[text('subject'), text('eventType'), text('eventTime'), text('id')],
    {
      name: 'data',
      type: {
        type: 'record',
        name: 'BlobChangeEventData',
        fields: [
          ...[text('api'), text('etag'), text('contentType')],
          ...[text('blobVersion'), text('snapshot'), { name: 'contentLength', type: 'long' }],
        ],
      },
    },
  ],
}

function eventOf(path: string, minute: number, eventType = 'BlobCreated') {
  const [where = '', ...name] = path.split('/')
  const data = { api: 'PutBlob', etag: '0x8D1', contentType: 'text/plain', contentLength: 7 }
  return {
    subject: `/blobServices/default/containers/${where}/blobs/${name.join('/')}`,
    eventType,
    eventTime: new Date(Date.UTC(2026, 2, 4, 5, minute)).toISOString(),
    id: `${path}:${minute}`,
    data: { ...data, blobVersion: '2026-03-04T05:00:00.0000001Z', snapshot: '' },
  }
}

const odd = ['é\u0301', 'a b%20', '\n', '🙂', 'x'.repeat(900), '#?&', 'x//y', "'", '%']

t.test('a feed in files of another hand', { skip: whyNoFastavro() }, async (t) => {
  const fileOf = (values: readonly unknown[]) => fastavroFile(t.testdir(), { schema, values })
  const first = odd.map((name, index) => eventOf(`data/odd/${name}`, index))
  const second = [
    eventOf('data/odd', 61),
    eventOf('data/odds', 62),
    eventOf('other/odd/x', 63, 'BlobDeleted'),
    eventOf('data/odd/late', 64, 'BlobSnapshotCreated'),
    { ...eventOf('data/x', 65, 'Control'), subject: '' },
  ]
  const names = first.concat(second.slice(0, 4)).map(({ id }) => id.replace(/:\d+$/, ''))
  const store = new MemoryBlobStore()
  await store.createContainer(container)
  const put = (name: string, data: Uint8Array | object) =>
    store.put(
      { container, name },
      data instanceof Uint8Array ? data : Buffer.from(JSON.stringify(data)),
    )
  const manifest = (hour: string, status: string) => {
    const chunkFilePaths = [`${container}/log/00/${hour}/`]
    return put(`idx/segments/${hour}/meta.json`, { status, chunkFilePaths })
  }
  await put('idx/segments/1601/01/01/0000/meta.json', { status: 'Finalized', chunkFilePaths: [] })
  for (const hour of hours) await manifest(hour, 'Publishing')
  await put(`log/00/${hours[0]}/00000.avro`, fileOf(first))
  await put(`log/00/${hours[1]}/00000.avro`, fileOf(second))
  await put('meta/segments.json', { lastConsumable: '2026-03-04T06:00:00.000Z' })
  const place = { account: 'acct', store, clock: systemClock }
  const listing = (path: string, options: ChangesOptions = {}) => {
    const [where = '', ...name] = path.split('/')
    return changesOf({ ...place, below: { container: where, name: name.join('/') } }, options)
  }
  const told = async (path: string, options?: ChangesOptions) => {
    const found: string[] = []
    for await (const { name } of listing(path, options)) found.push(name)
    return found
  }

  t.test('is told row by row, with odd names as they are', async (t) => {
    t.strictSame(await told(''), names)
    const row = await firstOf(listing(''))
    t.match(row, {
      ...{ name: `data/odd/${odd[0]}`, kind: 'written', size: 7, etag: '"0x8D1"', api: 'PutBlob' },
      ...{ contentType: 'text/plain', versionId: '2026-03-04T05:00:00.0000001Z' },
      ...{ time: new Date('2026-03-04T05:00:00Z'), snapshot: undefined, eventType: 'BlobCreated' },
    })
    const kinds: string[] = []
    for await (const { kind } of listing('', { since: new Date('2026-03-04T06:03:00Z') }))
      kinds.push(kind)
    t.strictSame(kinds, ['removed', 'snapshot'])
  })

  t.test('below a path, from a time on, and by a prefix', async (t) => {
    const inData = names.filter((name) => name.startsWith('data/odd/') || name === 'data/odd')
    t.strictSame(await told('data/odd'), inData)
    t.strictSame(await told('data/odd', { prefix: 'x' }), [`data/odd/${odd[4]}`, 'data/odd/x//y'])
    t.strictSame(await told('other'), ['other/odd/x'])
    t.strictSame(await told('', { since: new Date('2026-03-04T06:02:00Z') }), names.slice(-3))
    t.strictSame(await told('', { since: new Date('2036-01-01') }), [])
  })

  t.test('goes on in another process behind each row, and behind the end', async (t) => {
    for (let stop = 0; stop < names.length; stop += 1) {
      const before = listing('')
      const some: string[] = []
      for (let row = 0; row < stop; row += 1) {
        const { value } = await before.next()
        if (value !== undefined) some.push(value.name)
      }
      const { continuation } = before.checkpoint()
      t.strictSame([...some, ...(await told('', { continuation }))], names, `stopped at ${stop}`)
    }
    const whole = listing('')
    for await (const _ of whole);
    const { continuation } = whole.checkpoint()
    t.strictSame(await told('', { continuation }), [])
    await put(`log/00/${hours[1]}/00001.avro`, fileOf([eventOf('data/more', 70)]))
    t.strictSame(await told('', { continuation }), ['data/more'])
    const half = fileOf([...second, eventOf('data/appended', 71)])
    await put(`log/00/${hours[0]}/00001.avro`, half.subarray(0, half.length - 20))
    t.notOk((await told('', { continuation })).includes('data/appended'), 'no block that is begun')
    await put(`log/00/${hours[0]}/00001.avro`, half)
    t.ok((await told('', { continuation })).includes('data/appended'))

    await store.delete({ container, name: `idx/segments/${hours[1]}/meta.json` })
    await t.rejects(told('', { continuation }), { code: 'ESTALE', syscall: 'changes' })
    await manifest(hours[1], 'Finalized')

    const reading = listing('')
    await reading.next()
    await store.delete({ container, name: `log/00/${hours[0]}/00001.avro` })
    const toTheEnd = async () => {
      for await (const _ of reading);
    }
    await t.rejects(toTheEnd(), { code: 'ESTALE', message: /changes were missed.*00001\.avro/ })
  })

  t.test('follows until it is aborted', async (t) => {
    const aborting = new AbortController()
    const since = new Date('2026-03-04T06:20:00Z')
    const found: string[] = []
    await put('meta/segments.json', { lastConsumable: '2026-03-04T07:00:00.000Z' })
    const follow = async () => {
      const options = { since, follow: true, intervalMs: 1, signal: aborting.signal }
      for await (const { name } of listing('', options)) {
        found.push(name)
        aborting.abort(new Error('enough'))
      }
    }
    const following = t.rejects(follow(), { message: 'enough' })
    await put(`log/00/2026/03/04/0700/00000.avro`, fileOf([eventOf('data/new', 130)]))
    await manifest('2026/03/04/0700', 'Publishing')
    await following
    t.strictSame(found, ['data/new'])
  })

  t.test('wrong arguments name themselves', async (t) => {
    const other = changesOf({ ...place, account: 'other', below: { container: '', name: '' } }, {})
    const { continuation } = other.checkpoint()
    t.throws(() => listing('', { continuation }), { message: /continuation: .*'acct'.*'other'/ })
    for (const wrong of ['', 'x', Buffer.from('{"version":1}').toString('base64url')])
      t.throws(() => listing('', { continuation: wrong }), { message: /^continuation: expected/ })
    t.throws(() => listing('', { since: new Date('x') }), { message: /^since: expected/ })
    t.throws(() => listing('', { since: new Date(), continuation }), { message: /^since: / })
    t.throws(() => listing('', { intervalMs: 0 }), { message: /^intervalMs: / })
    const empty = { ...place, store: new MemoryBlobStore(), below: { container: '', name: '' } }
    await t.rejects(changesOf(empty, {}).next(), {
      code: 'ENOTSUP',
      message: /keeps no change feed/,
    })
  })
})

async function firstOf<T>(rows: AsyncGenerator<T, void>): Promise<T | undefined> {
  for await (const row of rows) return row
  return undefined
}

t.test('abfs changes', { skip: whyNoCli() }, async (t) => {
  const { client: env } = await startCliSandbox(t, '--engine', 'abfs', '--change-feed', '0')
  const state = join(await temporaryDirectory(t), 'state')
  const run = async (...argv: string[]) => {
    const { code, stdout, stderr } = await runAbfs(['changes', ...argv], { env })
    t.equal(code, 0, stderr)
    return stdout.trim().split('\n').filter(Boolean)
  }
  for (const name of ['dir/é %20', 'dir/b', 'elsewhere'])
    await runAbfs(['cp', '-', `abfs://data/${name}`], { env, input: 'four' })
  await runAbfs(['rm', 'abfs://data/dir/b'], { env })
  let lines: string[] = []
  for (let left = 60; left > 0 && lines.length < 3; left -= 1)
    lines = await run('abfs://data/dir', '--since', '1h', '--json')

  const rows = lines.map((line) => JSON.parse(line))
  t.strictSame(
    rows.map(({ name, kind, size }) => [name, kind, size]).sort(),
    [
      ['data/dir/b', 'removed', 4],
      ['data/dir/b', 'written', 4],
      ['data/dir/é %20', 'written', 4],
    ].sort(),
  )
  t.match(
    (await run('abfs://data/elsewhere', '--state', state))[0],
    /written +4 {2}data\/elsewhere$/,
  )
  t.strictSame(await run('abfs://data/elsewhere', '--state', state), [])
  t.notMatch(Buffer.from(await readFile(state, 'utf8'), 'base64url').toString(), /sig=|eyJ/)
  t.match(await runAbfs(['changes', '--since', 'soon'], { env }), {
    code: 2,
    stderr: /--since must/,
  })

  for (const [text, file, expected] of [
    ['garbage', state, /EINVAL: --state .*: expected what .*, or remove it/],
    ['kept', join(state, 'below', 'state'), /EINVAL: --state .*: expected a file in a directory/],
  ] as const) {
    await writeFile(state, text)
    const refused = await runAbfs(['changes', '--state', file], { env })
    t.equal(refused.code, 2)
    t.equal(refused.stdout, '')
    t.match(refused.stderr, expected)
    t.equal(await readFile(state, 'utf8'), text, 'it is left as it was')
  }

  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const none = await runAbfs(['changes', 'abfs://data'], { env: client })
  t.not(none.code, 0)
  t.match(none.stderr, /keeps no change feed/)
})
