import { cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { generateRingLine } from '../../src/connector/state/seal.ts'
import { runAbfs, whyNoCli } from '../support/cli.ts'
import { serveConnector } from '../support/served-connector.ts'
import { stateDirectory } from '../support/temp-state.ts'

async function emptyState(t: Test): Promise<string> {
  const directory = await stateDirectory()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

t.test('a connector is administered by its configuration', { skip: whyNoCli() }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-admin-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const run = (...argv: string[]) => runAbfs(['connector', ...argv])
  t.equal((await run('init', directory)).code, 0)
  const ring = join(directory, 'sealing.keys')
  t.equal((await stat(ring)).mode & 0o777, 0o600)
  const again = await run('init', directory)
  t.match(again, { code: 6, stderr: /is there already, and nothing is replaced/ })
  await cp(await emptyState(t), join(directory, 'state'), { recursive: true })
  const config = ['--config', join(directory, 'connector.yaml')]
  const secretFile = join(directory, 'secret')
  await writeFile(secretFile, 'SEEDED-SECRET')
  const added = await run(
    ...['add', 'prod', ...config, '--auth', 'service-principal', '--tenant-id', 't'],
    ...['--client-id', 'c', '--secret-file', secretFile],
    ...['--resource', 'abfss://data@acct.dfs.core.windows.net'],
  )
  t.match(added, { code: 0, stdout: /blob-container +abfss:\/\/data@acct/ })
  t.notMatch(added.stdout, 'SEEDED-SECRET')
  t.match(await run('show', 'none', ...config), { stderr: /ENOENT: there is no connector 'none'/ })

  await writeFile(ring, generateRingLine('next') + (await readFile(ring, 'utf8')))
  t.match(await run('reseal', ...config), { code: 0, stdout: /^1 sealed anew/ })
  const [newest = ''] = (await readFile(ring, 'utf8')).split('\n')
  await writeFile(ring, newest)
  const listed = await run('list', '--json', ...config)
  t.match(JSON.parse(listed.stdout), { connectors: [{ name: 'prod', revision: 1 }] })
  await writeFile(ring, generateRingLine('other'))
  t.match(await run('list', ...config), { code: 4, stderr: /EACCES/ })
})

t.test('what an administrator writes wrongly is told as such', { skip: whyNoCli() }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-admin-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  t.equal((await runAbfs(['connector', 'init', directory])).code, 0)
  await cp(await emptyState(t), join(directory, 'state'), { recursive: true })
  const file = join(directory, 'connector.yaml')
  await writeFile(file, (await readFile(file, 'utf8')).replace('port: 8471', 'port: 0'))
  const { url } = await serveConnector(t, file)
  const env = {
    ABFS_CONNECTOR_URL: url.href,
    ABFS_CONNECTOR_KEY_FILE: join(directory, 'operator.key'),
  }
  const run = (...argv: string[]) => runAbfs(['connector', ...argv], { env })
  const add = (name: string, ...more: string[]) =>
    run(
      'add',
      name,
      '--auth',
      'cli',
      '--resource',
      'abfss://data@acct.dfs.core.windows.net',
      ...more,
    )
  t.equal((await add('prod')).code, 0)

  const rows: [string, ReturnType<typeof run>, number, RegExp][] = [
    ['a name', add('pr od'), 2, /EINVAL: 'name': must be letters/],
    ['a permission', add('b', '--permissions', 'read,fly'), 2, /EINVAL: .*expected one of "read"/],
    ['a name that is taken', add('prod'), 6, /EEXIST: there is a connector named 'prod'/],
    [
      'a file',
      add('b', '--secret-file', join(directory, 'no')),
      2,
      /ENOENT: the file that was named/,
    ],
    ['a number', run('audit', '--limit', 'x'), 2, /EINVAL: 'limit'/],
    ['an auth method', run('add', 'b', '--auth', 'magic', '--resource', 'x/y'), 2, /EINVAL/],
    ['a key that there is not', run('keys', 'revoke', 'none'), 3, /ENOENT: there is no key/],
  ]
  for (const [what, ran, code, message] of rows) {
    const { stderr, ...rest } = await ran
    t.match({ ...rest, stderr }, { code, stdout: '', stderr: message }, what)
    t.notMatch(stderr, /of different versions|abfs ls/, `${what}: no advice that leads nowhere`)
  }
  const asked = ['--caller', 'nobody', '--account', 'acct', '--container', 'data']
  for (const how of [[], ['--json']]) {
    const { code, stdout } = await run('policy', 'test', ...asked, ...how)
    t.match({ code, stdout }, { code: 7, stdout: /denial/ }, 'what would be denied')
  }
  const early = await run('policy', 'add', 'p', '--caller', 'c', '--connector', 'later')
  t.match(early, { code: 0, stderr: /no connector 'later' yet/ })
})
