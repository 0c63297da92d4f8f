import { execFile } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { formatEnvFile, writeEnvFile } from '../../src/sandbox/env-file.ts'
import { environmentOf } from '../../src/sandbox/environment.ts'

const run = promisify(execFile)

const variables = environmentOf({
  account: 'devstoreaccount1',
  accountKey: Buffer.alloc(64, 251).toString('base64'),
  blobEndpoint: new URL('https://127.0.0.1:1/devstoreaccount1'),
  dfsEndpoint: new URL('https://127.0.0.1:1/devstoreaccount1'),
  accounts: ['devstoreaccount1', 'lake'].map((name) => ({
    name,
    key: 'aA+/=',
    hierarchical: true,
  })),
  azure: undefined,
  controlPort: { url: new URL('http://127.0.0.1:3/'), secret: 'control-secret' },
  authorityHost: new URL('https://127.0.0.1:2/'),
  clientId: '11111111-2222-3333-4444-555555555555',
  clientSecret: 'a-secret',
  caFile: '/tmp/with space/$HOME/ca.pem',
  caBundleFile: '/tmp/ca-bundle.pem',
})

const printAll =
  'process.stdout.write(JSON.stringify(Object.fromEntries(process.argv.slice(1).map((n) => [n, process.env[n]]))))'

function printed(stdout: string): Record<string, string> {
  const values: Record<string, string> = JSON.parse(stdout)
  return values
}

t.test('sh reads every value as it was', async (t) => {
  const file = join(t.testdir(), 'sandbox.env')
  await writeEnvFile(file, variables)

  const { stdout } = await run('sh', [
    '-c',
    'set -a; . "$1"; shift; exec "$@"',
    'sh',
    file,
    process.execPath,
    '-e',
    printAll,
    '--',
    ...Object.keys(variables),
  ])

  t.strictSame(printed(stdout), variables)
})

t.test('node --env-file reads every value as it was', async (t) => {
  const file = join(t.testdir(), 'sandbox.env')
  await writeEnvFile(file, variables)

  const { stdout } = await run(
    process.execPath,
    [`--env-file=${file}`, '-e', printAll, '--', ...Object.keys(variables)],
    { env: {} },
  )

  t.strictSame(printed(stdout), variables)
})

t.test('a value of harmless characters stands without quotes', async (t) => {
  t.equal(formatEnvFile({ A: 'https://127.0.0.1:1/x+y=' }), 'A=https://127.0.0.1:1/x+y=\n')
  t.equal(formatEnvFile({ A: 'k=v;k=v' }), "A='k=v;k=v'\n")
})

t.test('the file is private, whole, and alone in its directory', async (t) => {
  const directory = t.testdir({ 'sandbox.env': 'OLD=1\n' })
  const file = join(directory, 'sandbox.env')

  await writeEnvFile(file, { NEW: '2' })

  t.equal(await readFile(file, 'utf8'), 'NEW=2\n')
  t.equal((await stat(file)).mode & 0o777, 0o600)
  t.strictSame(await run('ls', ['-A', directory]).then(({ stdout }) => stdout), 'sandbox.env\n')
})

t.test('names and values that readers disagree on are refused', async (t) => {
  t.throws(() => formatEnvFile({ A: "it's" }), { name: 'RangeError', message: /value of A/ })
  t.throws(() => formatEnvFile({ A: 'two\nlines' }), { name: 'RangeError' })
  t.throws(() => formatEnvFile({ '1A': '' }), { name: 'RangeError', message: /'1A'/ })
})

t.test('a file whose directory does not exist is told of by its own name', async (t) => {
  const path = join(t.testdir(), 'missing', 'x.env')

  await t.rejects(writeEnvFile(path, { A: 'a' }), { code: 'ENOENT', path, message: /directory/ })
})
