import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import t from 'tap'
import { parse, stringify } from 'yaml'
import {
  outputOf,
  runAbfs,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'

t.test('a caller whose rule has a prefix', { skip: whyNoCli() }, async (t) => {
  const { client } = await startCliSandbox(t, '--hns')
  const directory = await temporaryDirectory(t)
  const own = join(dirname(client['ABFS_CONNECTOR_KEY_FILE'] ?? ''), 'connector.yaml')
  const config = parse(await readFile(own, 'utf8'))
  const [rule] = config.policy
  const permissions = ['read', 'list', 'create', 'write', 'delete']
  config.policy = [
    { ...rule, container: 'data', prefix: 'teams/blue', permissions, credentials: ['sas'] },
  ]
  config.audit = join(directory, 'audit.jsonl')
  const file = join(directory, 'connector.yaml')
  await writeFile(file, stringify(config))
  const connector = startAbfs(['connector', 'serve', '--config', file])
  t.teardown(() => connector.kill('SIGTERM'))
  const output = outputOf(connector)
  await until(() => output.stderr.includes('listens on') || connector.exitCode !== null)
  const url = /listens on (\S+);/.exec(output.stderr)?.[1] ?? ''
  const env = { ...client, ABFS_CONNECTOR_URL: url, ABFS_PREFIX: 'teams/blue' }
  const abfs = (...argv: string[]) => runAbfs(argv, { env })

  t.test('works below it', async (t) => {
    const target = 'abfs://data/teams/blue/sub/file'
    t.equal((await runAbfs(['cp', '-', target], { env, input: 'hello' })).code, 0)
    t.equal(
      (await abfs('mv', 'abfs://data/teams/blue/sub', 'abfs://data/teams/blue/moved')).code,
      0,
    )
    t.equal((await abfs('cat', 'abfs://data/teams/blue/moved/file')).stdout, 'hello')
    t.equal((await abfs('rm', '-r', 'abfs://data/teams/blue/moved')).code, 0)
  })

  t.test('is refused beside it and above it', async (t) => {
    for (const place of ['abfs://data/teams', 'abfs://data/teams/blue-2', 'abfs://data']) {
      t.equal((await abfs('ls', place)).code, 4, place)
    }
  })

  t.test('is told of the prefix when it names none', async (t) => {
    const asked = await runAbfs(['ls', 'abfs://data/teams/blue'], {
      env: { ...env, ABFS_PREFIX: '' },
    })

    t.equal(asked.code, 4)
    t.match(asked.stderr, /path_outside_root[\s\S]*ABFS_PREFIX/)
  })

  t.test('verifies that its credentials reach no further', async (t) => {
    const report = await abfs('connector', 'verify', '--container', 'data', '--write', '--json')

    t.equal(report.code, 0, report.stderr)
    const { passed, checks } = JSON.parse(report.stdout)
    t.equal(passed, true)
    const others = checks.filter(({ name }: { name: string }) => name !== 'hns-detected')
    t.same(new Set(others.map(({ status }: { status: string }) => status)), new Set(['passed']))
    const wide = await runAbfs(['connector', 'verify', '--container', 'other'], { env })
    t.equal(wide.code, 1)
    t.match(wide.stdout, /policy-allows +failed/)
  })
  t.end()
})
