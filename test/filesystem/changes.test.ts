/** Changes of an account by the library and the command line, of a feed of another hand and of the sandbox's. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { systemClock } from '../../src/clock.ts'
import { FileSystemError } from '../../src/errors.ts'
import { type ChangesDamage, type ChangesOptions, changesOf } from '../../src/filesystem/changes.ts'
import { fastavroFile, whyNoFastavro } from '../support/avro-files.ts'
import {
  controlSandbox,
  outputOf,
  runAbfs,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'

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

t.test('a feed that cannot be read to its end', { skip: whyNoFastavro() }, async (t) => {
  const [hour] = hours
  const chunk = `log/00/${hour}/00001.avro`
  const names = Array.from({ length: 40 }, (_, index) => `data/${index}`)
  const values = names.map((name, index) => eventOf(name, index))
  const file = fastavroFile(t.testdir(), { schema, values: values.slice(1) })
  const first = fastavroFile(t.testdir(), { schema, values: values.slice(0, 1) })

  /** One row in a chunk of its own, the others in the next, which holds `data`. */
  const feedWith = async (data: Uint8Array, status: string) => {
    const store = new MemoryBlobStore()
    await store.createContainer(container)
    const put = (name: string, content: Uint8Array | object) =>
      store.put(
        { container, name },
        content instanceof Uint8Array ? content : Buffer.from(JSON.stringify(content)),
      )
    const chunkFilePaths = [`${container}/log/00/${hour}/`]
    await put(`idx/segments/${hour}/meta.json`, { status, chunkFilePaths })
    await put(`log/00/${hour}/00000.avro`, first)
    await put(chunk, data)
    await put('meta/segments.json', { lastConsumable: '2026-03-04T05:00:00.000Z' })
    /** What is told until it ends or fails, why, and where it stands. */
    const read = async (options: ChangesOptions = {}) => {
      const below = { container: '', name: '' }
      const rows = changesOf({ account: 'acct', store, clock: systemClock, below }, options)
      const told: string[] = []
      const error = await (async () => {
        for await (const { name } of rows) told.push(name)
      })().then(
        () => undefined,
        (cause: unknown) => cause,
      )
      return { told, error, ...rows.checkpoint() }
    }
    return { store, put, read }
  }

  t.test('tells what lies before the damage, and where that is, again and again', async (t) => {
    // What ends each block; the first is the header's.
    const mark = file.subarray(file.length - 16)
    const [, ...ends] = placesOf(mark, file)
    t.ok(ends.length > 5)
    for (const end of ends) {
      const wrong = Buffer.from(file)
      wrong[end] = (wrong[end] ?? 0) ^ 0x55
      const { put, read } = await feedWith(wrong, 'Finalized')

      const { told, error, continuation } = await read()
      t.strictSame(told, names.slice(0, told.length))
      t.match(error, { code: 'EIO', syscall: 'changes', path: chunk })
      t.match(error, { message: /change feed is damaged: .* begins at byte \d+/ })
      const again = await read({ continuation })
      t.strictSame([again.told, again.error], [[], error])

      await put(chunk, file)
      const { told: rest } = await read({ continuation })
      t.strictSame([...told, ...rest], names, 'once the file is whole')
    }
  })

  /** Where `told` leaves a part of all names out. */
  const missingOf = (told: readonly string[]): readonly string[] => {
    const before = names.findIndex((name, index) => name !== told[index])
    const missing = names.length - told.length
    t.strictSame([...names.slice(0, before), ...names.slice(before + missing)], told)
    return names.slice(before, before + missing)
  }

  t.test('is read on behind each damage, which is told, where that is asked for', async (t) => {
    const mark = file.subarray(file.length - 16)
    const [, ...ends] = placesOf(mark, file)
    const inBlocks = ends.slice(1).map((end) => end - 40)
    for (const at of [...ends, ...inBlocks]) {
      const wrong = Buffer.from(file)
      wrong.fill(0xff, at, at + 12)
      const { read } = await feedWith(wrong, 'Finalized')
      const gaps: ChangesDamage[] = []

      const { told, error, continuation } = await read({ onDamage: (gap) => gaps.push(gap) })

      t.equal(error, undefined)
      const [gap] = gaps
      t.match(gap, { file: chunk, hour: new Date('2026-03-04T05:00:00Z'), error: { code: 'EIO' } })
      t.equal(gaps.length, 1)
      t.ok(gap !== undefined && gap.start <= at && (gap.end ?? 0) > at)
      t.ok([file.length, ...ends.map((end) => end + 16)].includes(gap?.end ?? 0))
      const missing = missingOf(told)
      t.ok(missing.length > 0)
      const lost = file.subarray(gap?.start, gap?.end)
      for (const name of missing)
        t.ok(lost.includes(`blobs/${name.slice(5)}`), `${name} lies there`)
      t.strictSame(await read({ continuation }), { told: [], error: undefined, continuation })
    }
    const { read } = await feedWith(Buffer.from('no file of Avro'), 'Finalized')
    const gaps: ChangesDamage[] = []
    t.strictSame((await read({ onDamage: (gap) => gaps.push(gap) })).told, names.slice(0, 1))
    t.match(gaps, [{ start: 0, end: 15 }])
    await t.rejects(async () => read({ onDamage: JSON.parse('{}') }), { message: /^onDamage: / })
  })

  t.test('waits behind a damage for what may follow it, and tells it once', async (t) => {
    const wrong = Buffer.from(file)
    wrong.fill(0xff, file.length - 16)
    const { store, put } = await feedWith(wrong, 'Publishing')
    const gaps: ChangesDamage[] = []
    const told: string[] = []
    const below = { container: '', name: '' }
    const clock = {
      nowMs: () => 0,
      sleep: async () => {
        rounds += 1
        const chunkFilePaths = [`${container}/log/00/${hour}/`]
        if (rounds === 3)
          await put(`idx/segments/${hour}/meta.json`, { status: 'Finalized', chunkFilePaths })
        if (rounds === 5) throw new Error('enough')
      },
    }
    let rounds = 0
    const onDamage = (gap: ChangesDamage) => gaps.push(gap)
    const rows = changesOf({ account: 'acct', store, clock, below }, { follow: true, onDamage })
    await t.rejects(
      async () => {
        for await (const { name } of rows) told.push(name)
      },
      { message: 'enough' },
    )
    t.match(gaps, [{ end: undefined }, { end: file.length }])
    t.equal(gaps[0]?.start, gaps[1]?.start)
    t.ok(missingOf(told).includes(names.at(-1) ?? ''))
  })

  t.test('a block that is cut short is damage once nothing more is to come', async (t) => {
    const { put, read } = await feedWith(file.subarray(0, file.length - 9), 'Publishing')
    const { told, error, continuation } = await read()
    t.equal(error, undefined)
    t.ok(told.length < names.length)
    const chunkFilePaths = [`${container}/log/00/${hour}/`]
    await put(`idx/segments/${hour}/meta.json`, { status: 'Finalized', chunkFilePaths })

    const final = await read({ continuation })
    t.match(final, { told: [], error: { code: 'EIO', message: /it ends within a block/ } })
    await put(chunk, file)
    t.strictSame([...told, ...(await read(final)).told], names)
  })

  t.test('EACCES and a broken connection in the middle leave it where it stands', async (t) => {
    const { store, read } = await feedWith(file, 'Publishing')
    const get = store.get.bind(store)
    const failures = [
      [
        { code: 'EACCES' },
        { code: 'EACCES', syscall: 'changes', message: /Storage Blob Data Reader/ },
      ],
      [{ code: 'EIO' }, { code: 'EIO', syscall: 'blob.get' }],
    ] as const
    for (const [{ code }, expected] of failures) {
      store.get = (path, options) =>
        path.name === chunk
          ? Promise.reject(new FileSystemError(code, 'blob.get'))
          : get(path, options)
      const { told, error, continuation } = await read()
      t.strictSame(told, names.slice(0, 1))
      t.match(error, expected)
      store.get = get
      t.strictSame((await read({ continuation })).told, names.slice(1))
    }
  })

  t.test('an aborted signal ends it before it asks, and between two rows', async (t) => {
    const { store, read } = await feedWith(file, 'Publishing')
    const reason = new Error('enough')
    t.strictSame((await read({ signal: AbortSignal.abort(reason) })).error, reason)
    const aborting = new AbortController()
    const below = { container: '', name: '' }
    const place = { account: 'acct', store, clock: systemClock, below }
    const rows = changesOf(place, { signal: aborting.signal })
    for (let row = 0; row < 5; row += 1) await rows.next()
    aborting.abort(reason)
    await t.rejects(rows.next(), reason)
    t.strictSame((await read(rows.checkpoint())).told, names.slice(5))
  })
})

function placesOf(what: Buffer, data: Buffer): number[] {
  const places: number[] = []
  for (let at = data.indexOf(what); at >= 0; at = data.indexOf(what, at + 1)) places.push(at)
  return places
}

async function firstOf<T>(rows: AsyncGenerator<T, void>): Promise<T | undefined> {
  for await (const row of rows) return row
  return undefined
}

t.test('abfs changes over faults', { skip: whyNoCli() }, async (t) => {
  const flags = ['--engine', 'abfs', '--change-feed', '0', '--control-port', '0']
  const { client: env, variables } = await startCliSandbox(t, ...flags)
  const state = join(await temporaryDirectory(t), 'state')
  const changes = (...argv: string[]) => runAbfs(['changes', ...argv], { env })
  const rowsOf = (stdout: string) =>
    stdout
      .trim()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).id)
  await runAbfs(['cp', '-', 'abfs://data/a'], { env, input: 'a' })
  await runAbfs(['cp', '-', 'abfs://data/b'], { env, input: 'b' })
  let all: string[] = []
  for (let left = 60; left > 0 && all.length < 2; left -= 1)
    all = rowsOf((await changes('abfs://data', '--json')).stdout)

  for (const kind of ['reset', 'resetInBody', 'truncate'] as const) {
    const faults = [{ path: 'changefeed/log', nth: 1, count: 2, effect: { kind } }]
    await controlSandbox(variables, 'faults', { faults })
    t.strictSame(rowsOf((await changes('abfs://data', '--json')).stdout), all, kind)
  }
  const corrupt = { path: 'changefeed/log', nth: 2, count: 1, effect: { kind: 'corrupt' } }
  await controlSandbox(variables, 'faults', { faults: [corrupt] })
  const damaged = await changes('abfs://data', '--json', '--skip-damaged')
  t.match(damaged, {
    code: 1,
    stderr: /^abfs: changes of the hour of .*:00:00.000Z are missing.* EIO: /,
  })
  t.ok(rowsOf(damaged.stdout).length < all.length)
  const effect = { kind: 'status', status: 403, code: 'AuthorizationPermissionMismatch' }
  const faults = [{ path: 'changefeed/log', nth: 1, count: 1000, effect }]
  await controlSandbox(variables, 'faults', { faults })
  const refused = await changes('abfs://data', '--json', '--state', state)
  t.match(refused, { code: 4, stdout: '', stderr: /EACCES: the change feed may not be read/ })
  await controlSandbox(variables, 'faults', { faults: [] })
  const following = startAbfs(['changes', 'abfs://data', '--json', '--follow', '--state', state], {
    env,
  })
  const output = outputOf(following)
  await until(() => output.stdout.split('\n').length > all.length)
  following.kill('SIGINT')
  t.strictSame(await once(following, 'exit'), [130, null])
  t.strictSame(rowsOf(output.stdout), all, 'what was refused is told')
  t.equal((await changes('abfs://data', '--json', '--state', state)).stdout, '', 'and once')
})

t.test('abfs changes --state that is killed', { skip: whyNoCli() }, async (t) => {
  const { client: env } = await startCliSandbox(t, '--engine', 'abfs', '--change-feed', '0')
  const directory = await temporaryDirectory(t)
  const rowsOf = (stdout: string) =>
    stdout
      .slice(0, stdout.lastIndexOf('\n') + 1)
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).id as string)
  const argv = ['changes', 'abfs://data', '--json']
  const many = 1500
  // Of a kilobyte each, so that neither a pipe nor a buffer takes all rows.
  const deep = join(directory, 'tree', ...Array(4).fill('d'.repeat(200)))
  await mkdir(deep, { recursive: true })
  for (let file = 0; file < many; file += 1) await writeFile(join(deep, String(file)), '')
  const copied = await runAbfs(['cp', '-r', join(directory, 'tree'), 'abfs://data/tree'], { env })
  t.equal(copied.code, 0, copied.stderr)
  let all: string[] = []
  for (let left = 60; left > 0 && all.length < many; left -= 1)
    all = rowsOf((await runAbfs(argv, { env })).stdout)

  t.test('while it tells rows to a slow reader: tells on from some that were told', async (t) => {
    const state = join(directory, 'slow')
    const slow = startAbfs([...argv, '--state', state], { env })
    let stdout = ''
    while (!existsSync(state) && slow.exitCode === null) {
      stdout += slow.stdout?.read() ?? ''
      await delay(150)
    }
    slow.stdout?.on('data', (data) => {
      stdout += data
    })
    slow.kill('SIGKILL')
    t.strictSame(await once(slow, 'close'), [null, 'SIGKILL'])
    const told = rowsOf(stdout)
    const after = rowsOf((await runAbfs([...argv, '--state', state], { env })).stdout)

    t.ok(told.length < many, `told ${told.length} of ${many}`)
    t.ok(after.length < many, `told ${after.length} after that`)
    t.ok(told.length + after.length >= many, 'none is lost')
    t.strictSame(told, all.slice(0, told.length))
    t.strictSame(after, all.slice(-after.length))
  })

  t.test('while it waits for more: tells none of them again', async (t) => {
    const state = join(directory, 'waiting')
    const following = startAbfs([...argv, '--follow', '--state', state], { env })
    const output = outputOf(following)
    await until(() => rowsOf(output.stdout).length === many)
    await until(() => existsSync(state))
    const copy = join(directory, 'copy')
    let again = many
    for (let left = 60; left > 0 && again > 0; left -= 1) {
      await copyFile(state, copy)
      again = rowsOf((await runAbfs([...argv, '--state', copy], { env })).stdout).length
    }
    following.kill('SIGKILL')

    t.strictSame(await once(following, 'exit'), [null, 'SIGKILL'])
    t.equal((await runAbfs([...argv, '--state', state], { env })).stdout, '')
  })

  t.test('ends when its state cannot be saved any more', async (t) => {
    const gone = join(directory, 'gone')
    await mkdir(gone)
    const state = join(gone, 'state')
    const following = startAbfs([...argv, '--follow', '--state', state], { env })
    // It may end while rows of the past are still to be told.
    const ended = once(following, 'exit')
    const output = outputOf(following)
    await until(() => existsSync(state))
    await rename(gone, `${gone}.not`)
    await runAbfs(['cp', '-', 'abfs://data/one-more'], { env, input: 'x' })

    t.not((await ended)[0], 0)
    t.match(output.stderr, /ENOENT.*gone/)
  })
})

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
