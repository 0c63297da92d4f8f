import { once } from 'node:events'
import {
  chmod,
  mkdir,
  readFile,
  readlink,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  type CliOptions,
  failsWith,
  runAbfs,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  whyNoCli,
} from '../support/cli.ts'

t.test('files with a client’s environment', { skip: whyNoCli() }, async (t) => {
  const { client, variables } = await startCliSandbox(t)
  const abfs = (argv: readonly string[], options: CliOptions = {}) =>
    runAbfs(argv, { ...options, env: client })

  t.test('the client’s environment holds no secret of Azure’s', async (t) => {
    const text = JSON.stringify(client)

    for (const name of ['AZURE_CLIENT_SECRET', 'AZURE_STORAGE_ACCOUNT_KEY']) {
      t.ok(variables[name])
      t.notOk(text.includes(variables[name] ?? ''))
    }
  })

  t.test('a tree goes in and comes out with its names, modes, times and links', async (t) => {
    const directory = await temporaryDirectory(t)
    const source = join(directory, 'source')
    const names = ['plain', 'with space', 'größe 🚀', '100%', '%41', '#1', 'a+b']
    await mkdir(join(source, 'deep/er'), { recursive: true })
    for (const name of names) await writeFile(join(source, name), name)
    await chmod(join(source, 'plain'), 0o750)
    await utimes(join(source, 'plain'), 1_000_000_000, 1_000_000_000)
    await symlink('plain', join(source, 'link'))

    t.equal((await abfs(['cp', '-r', '-p', source, 'abfs://data/tree'])).code, 0)
    const target = join(directory, 'target')
    t.equal((await abfs(['cp', '-r', '-p', 'abfs://data/tree', target])).code, 0)

    for (const name of names) t.equal(await readFile(join(target, name), 'utf8'), name)
    const plain = await stat(join(target, 'plain'))
    t.equal(plain.mode & 0o777, 0o750)
    t.equal(plain.mtimeMs, 1_000_000_000_000)
    t.equal(await readlink(join(target, 'link')), 'plain')
    t.ok((await stat(join(target, 'deep/er'))).isDirectory())
  })

  t.test('a directory is copied with -r alone, and never left out in silence', async (t) => {
    const directory = await temporaryDirectory(t)
    const source = join(directory, 'whole')
    await mkdir(source)
    await writeFile(join(source, 'f'), 'f')
    const refused = { code: 6, line: /EISDIR: is a directory/ }

    failsWith(t, await abfs(['cp', source, 'abfs://data/whole']), refused)
    t.equal((await abfs(['cp', '-r', source, 'abfs://data/whole'])).code, 0)
    failsWith(t, await abfs(['cp', 'abfs://data/whole', join(directory, 'back')]), refused)
    failsWith(t, await abfs(['cp', 'abfs://data/whole/', 'abfs://data/w2']), refused)
    t.equal((await abfs(['cp', 'abfs://data/whole/*', join(directory, 'back', '')])).code, 0)
  })

  t.test('standard input becomes a file, and a file standard output', async (t) => {
    const bytes = Buffer.alloc(9 * 1024 * 1024, 'abcdefg')

    t.equal((await abfs(['cp', '-', 'abfs://data/piped'], { input: bytes })).code, 0)

    const { stdout } = await abfs(['cat', 'abfs://data/piped'])
    t.equal(stdout.length, bytes.length)
    t.ok(stdout === bytes.toString())
  })

  t.test('a reader that goes away ends cat quietly', async (t) => {
    await abfs(['cp', '-', 'abfs://data/long'], { input: Buffer.alloc(4 * 1024 * 1024, 'x') })
    const child = startAbfs(['cat', 'abfs://data/long'], { env: client })
    let stderr = ''
    child.stderr?.on('data', (data: Buffer) => {
      stderr += data.toString()
    })

    child.stdout?.once('data', () => child.stdout?.destroy())
    const [code] = await once(child, 'exit')

    t.equal(code, 0)
    t.equal(stderr, '')
  })

  t.test('listings are text for people and JSON for programs', async (t) => {
    await abfs(['cp', '-', 'abfs://data/list/sub/one'], { input: '1' })

    t.equal((await abfs(['ls', 'abfs://data/list'])).stdout, 'sub/\n')
    t.equal((await abfs(['ls', '-R', 'abfs://data/list'])).stdout, 'sub/\nsub/one\n')
    t.match((await abfs(['ls', '-l', 'abfs://data/list/sub'])).stdout, /^-.* 1 {2}20.* one\n$/)
    t.match((await abfs(['tree', 'abfs://data/list'])).stdout, /└── sub\/\n {4}└── one\n$/)
    const [line = ''] = (await abfs(['stat', '--json', 'abfs://data/list/sub/one'])).stdout.split(
      '\n',
    )
    t.match(JSON.parse(line), { name: 'data/list/sub/one', type: 'file', size: 1 })
    t.match((await abfs(['ls'])).stdout, /^data\/$/m)
  })

  t.test('copies and deletions within the account', async (t) => {
    await abfs(['cp', '-', 'abfs://data/a/x'], { input: 'x' })

    t.equal((await abfs(['cp', '-r', 'abfs://data/a', 'abfs://data/b'])).code, 0)
    t.equal((await abfs(['cat', 'abfs://data/b/x'])).stdout, 'x')
    t.equal((await abfs(['rm', '-r', 'abfs://data/a'])).code, 0)
    t.equal((await abfs(['ls', 'abfs://data/a'])).code, 3)
    t.equal((await abfs(['rm', '-f', 'abfs://data/a'])).code, 0)
  })

  t.test(
    'mv renames a directory, refuses what is taken, and leaves nothing to recover',
    async (t) => {
      const directory = await temporaryDirectory(t)
      for (const name of ['one', 'two']) await writeFile(join(directory, name), name)
      await abfs(['cp', '-r', `${directory}/`, 'abfs://data/old'])

      t.equal((await abfs(['mv', 'abfs://data/old', 'abfs://data/renamed'])).code, 0)

      t.match((await abfs(['cat', 'abfs://data/renamed/one'])).stdout, 'one')
      t.equal((await abfs(['ls', 'abfs://data/old'])).code, 3)
      const taken = ['abfs://data/renamed/one', 'abfs://data/renamed/two']
      t.equal((await abfs(['mv', '-n', ...taken])).code, 6)
      const recovered = await abfs(['recover', '--json', 'abfs://data'])
      t.same([recovered.code, recovered.stdout], [0, '[]\n'])
      t.equal((await abfs(['recover', 'abfs://no-such-container'])).code, 3)
      t.equal((await abfs(['rm', '-r', 'abfs://data/renamed'])).code, 0)
    },
  )

  t.test('sync says what it does, does it, and by etag copies nothing a second time', async (t) => {
    const directory = await temporaryDirectory(t)
    const [tree, record] = [join(directory, 'tree'), join(directory, 'record.json')]
    await mkdir(tree)
    for (const name of ['one', 'two']) await writeFile(join(tree, name), name)
    await abfs(['cp', '-', 'abfs://data/synced/old'], { input: 'x' })
    const argv = ['sync', tree, 'abfs://data/synced', '--delete']
    const etag = [...argv, '--compare', 'etag', '--record', record]

    const dry = await abfs([...argv, '--dry-run'])
    t.same([dry.code, dry.stdout], [0, '+ one\n+ two\n- old\n'])
    t.match(dry.stderr, /2 would be copied \(.*\), 1 would be deleted, 0 unchanged/)
    t.equal((await abfs(etag)).stdout, dry.stdout)
    t.same((await abfs(etag)).stdout, '')
    await writeFile(join(tree, 'one'), 'ONE')
    t.equal((await abfs([...argv, '--compare', 'crc64'])).stdout, '* one\n')
    t.match(JSON.parse((await abfs([...etag, '--json'])).stdout), {
      copied: [{ path: 'one', reason: 'changed' }],
      deleted: [],
      unchanged: 1,
    })
    t.equal((await abfs(['cat', 'abfs://data/synced/one'])).stdout, 'ONE')
  })

  t.test('containers are made and, when asked twice, deleted', async (t) => {
    t.equal((await abfs(['mkdir', 'abfs://scratch'])).code, 0)
    t.equal((await abfs(['mkdir', 'abfs://scratch'])).code, 6)
    t.equal((await abfs(['rm', '-r', 'abfs://scratch'])).code, 4)
    t.equal((await abfs(['rm', '-r', '--container', 'abfs://scratch'])).code, 0)
  })

  t.test('an artifact is saved, listed, loaded and deleted', async (t) => {
    const directory = await temporaryDirectory(t)
    const root = ['--root', 'abfs://data/artifacts']
    await mkdir(join(directory, 'model'))
    await writeFile(join(directory, 'model/weights'), 'w')

    t.equal((await abfs(['artifact', 'save', ...root, 'run/model', `${directory}/model`])).code, 0)
    const { stdout } = await abfs(['artifact', 'list', '--json', ...root])
    t.match(JSON.parse(stdout), { name: 'run/model', kind: 'directory', fileCount: 1 })
    t.equal((await abfs(['artifact', 'load', ...root, 'run/model', `${directory}/out`])).code, 0)
    t.equal(await readFile(join(directory, 'out/weights'), 'utf8'), 'w')
    t.equal((await abfs(['artifact', 'delete', ...root, 'run/model'])).code, 0)
    t.equal((await abfs(['artifact', 'exists', ...root, 'run/model'])).code, 3)
  })

  t.test('--stats-file tells requests and credentials, a reader’s to read alone', async (t) => {
    const file = join(await temporaryDirectory(t), 'stats.json')

    await abfs(['ls', 'abfs://data', '--stats-file', file])

    const report = JSON.parse(await readFile(file, 'utf8'))
    t.match(report, {
      requestsByOperation: { 'blob.list': 1, 'connector.credentials': 1 },
      credentials: { received: 1 },
    })
    t.ok(report.credentials.longestLifeMs <= 3_600_000)
  })
})
