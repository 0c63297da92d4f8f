import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { failsWith, runAbfs, whyNoCli } from '../support/cli.ts'

const commands = [
  ['ls'],
  ['tree'],
  ['stat'],
  ['cat'],
  ['cp'],
  ['sync'],
  ['mv'],
  ['mkdir'],
  ['rm'],
  ['acl'],
  ['recover'],
  ['mount'],
  ['unmount'],
  ['sandbox'],
  ['connector'],
  ['connector', 'serve'],
  ['connector', 'check'],
  ['connector', 'key'],
  ['artifact'],
]

t.test('the built command', { skip: whyNoCli() }, async (t) => {
  t.test('help names every command, the settings and the exit codes', async (t) => {
    const { code, stdout } = await runAbfs(['--help'])

    t.equal(code, 0)
    for (const [name = ''] of commands) t.match(stdout, new RegExp(`^  ${name}`, 'm'))
    for (const word of ['ABFS_CONNECTOR_URL', 'AZURE_AUTHORITY_HOST', 'Exit codes:']) {
      t.ok(stdout.includes(word), word)
    }
  })

  t.test('a channel that only the environment speaks of does not end it', async (t) => {
    const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
    const env = { PATH: process.env['PATH'], NODE_CHANNEL_FD: '3' }

    const { status, signal, stdout } = spawnSync(main, ['--help'], { env, encoding: 'utf8' })

    t.strictSame([status, signal], [0, null])
    t.match(stdout, /^ {2}mount/m)
  })

  t.test('the exit codes in the documents are those of the help', async (t) => {
    const document = await readFile(new URL('../../docs/exit-codes.md', import.meta.url), 'utf8')
    const { stdout } = await runAbfs(['--help'])
    const [, told = ''] = stdout.split('Exit codes:\n')
    const inHelp = [...told.matchAll(/^ {2}(\d+) +([^:;\n]+)/gm)].map(([, code, what]) => [
      code,
      what,
    ])
    const inTable = [...document.matchAll(/^\| (\d+) \| ([^:;|]+)/gm)].map(
      ([, code, what = '']) => [code, what.trim()],
    )
    t.ok(inHelp.length > 8)
    t.strictSame(inTable, inHelp)
  })

  t.test('the help of each command has an example', async (t) => {
    for (const command of commands) {
      const { code, stdout } = await runAbfs([...command, '--help'])
      t.equal(code, 0)
      t.match(stdout, new RegExp(`Examples?:[^]*abfs ${command.join(' ')}`), command.join(' '))
    }
  })

  t.test('without a command, help is shown and the exit code is that of wrong usage', async (t) => {
    const { code, stderr } = await runAbfs([])

    t.equal(code, 2)
    t.match(stderr, /^Usage: abfs/)
  })

  t.test('the version is that of the package', async (t) => {
    t.match((await runAbfs(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
  })

  const mistakes: readonly [string, string[], RegExp][] = [
    ['an unknown command', ['lss'], /unknown command 'lss'/],
    ['a flag of another program', ['ls', '--sas-token=s3cret'], /unknown option '--sas-token'/],
    ['an unknown flag', ['ls', '--lnog'], /unknown option '--lnog'/],
    ['an option of mount(8)', ['mount', '-o', 'ro'], /options are flags here \(--read-only/],
    ['a mode that is none', ['acl', 'mode', '9', 'abfs://box'], /'9' is no mode/],
    ['an owner that is none', ['acl', 'owner', ':', 'abfs://box'], /names no owner/],
    ['a missing argument', ['cat'], /missing required argument 'path'/],
    ['a local path where one in Azure is expected', ['ls', '/tmp'], /write abfs:\/\/CONTAINER/],
    ['a copy of local files', ['cp', 'a', 'b'], /neither side is in Azure/],
    ['a sync of local trees', ['sync', 'a', 'b'], /neither side is in Azure/],
    ['a record without etag', ['sync', 'a', 'abfs://b/c', '--record', 'r'], /go together/],
    ['a copy without a target', ['cp', 'a'], /needs a target/],
    ['no account', ['ls'], /no storage account is named: set ABFS_ACCOUNT or --account/],
    ['two accounts', ['ls', '--account', 'a', 'abfs://c@b.dfs.core.windows.net'], /--account is a/],
    [
      'an endpoint that is no URL',
      ['ls', '--account', 'a', '--blob-endpoint', 'x'],
      /must be a URL/,
    ],
    ['a SAS in a URL', ['ls', 'https://a.blob.core.windows.net/c?sig=s3cret'], /carries a SAS/],
    ['a drive without a container', ['mount', 'abfs://', '/tmp'], /a drive shows one container/],
    ['a drive on a URL', ['mount', 'abfs://c', 'abfs://d'], /stands where a directory should/],
    ['a mode that is none', ['mount', 'abfs://c', '/tmp', '--file-mode', '999'], /--file-mode/],
    ['a connector without configuration', ['connector', 'serve'], /set --config/],
  ]
  for (const [name, argv, line] of mistakes) {
    t.test(`${name} is wrong usage, told in one line`, async (t) => {
      const result = await runAbfs(argv)

      failsWith(t, result, { code: 2, line })
      t.notMatch(result.stderr, /s3cret/)
    })
  }
})
