import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { generateRingLine } from '../../src/connector/state/seal.ts'
import { runAbfs, whyNoCli } from '../support/cli.ts'

t.test('a connector is administered by its configuration', { skip: whyNoCli() }, async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-admin-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const run = (...argv: string[]) => runAbfs(['connector', ...argv])
  t.equal((await run('init', directory)).code, 0)
  const ring = join(directory, 'sealing.keys')
  t.equal((await stat(ring)).mode & 0o777, 0o600)
  t.not((await run('init', directory)).code, 0, 'nothing is replaced')
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
