import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  whyNoCli,
} from '../support/cli.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

interface PrintedPlan {
  readonly ok: boolean
  readonly settings: readonly { name: string; value: unknown; origin: string }[]
  readonly findings: readonly { name: string; verdict: string; detail: string }[]
}

t.test('abfs mount --plan', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const directory = await temporaryDirectory(t)
  const abfs = (...argv: string[]) => runAbfs(argv, { env: client })
  const plan = async (...argv: string[]) => {
    const { code, stdout, stderr } = await abfs('mount', '--json', ...argv)
    // On a busy machine, what it waits for.
    t.equal(stderr.replace(/^abfs: waiting for .*; giving up in \d+ s\n/gm, ''), '')
    const printed = JSON.parse(stdout) as PrintedPlan
    const found = (name: string) => printed.findings.find((each) => each.name === name)
    const setting = (name: string) => printed.settings.find((each) => each.name === name)
    return { code, printed, found, setting }
  }

  t.test(
    'lists and reads, says what counts and where it is from, and mounts nothing',
    async (t) => {
      await runAbfs(['cp', '-', 'abfs://data/one'], { env: client, input: 'one' })
      const flags = ['--attr-ttl', '7', '--hard', '--no-prefetch-files']
      const { code, printed, found, setting } = await plan(
        '--plan',
        'abfs://data',
        directory,
        ...flags,
      )

      t.equal(code, 0, JSON.stringify(printed.findings))
      t.equal(printed.ok, true)
      t.match(found('list'), { verdict: 'ok', detail: /; 1 name in it/ })
      t.match(found('read'), { verdict: 'ok', detail: "one byte of 'one'" })
      t.match(found('directory'), { verdict: 'ok' })
      t.equal(found('write'), undefined, 'nothing is written unasked')
      t.match(setting('attrTtlMs'), { value: 7000, origin: '--attr-ttl' })
      t.match(setting('prefetchFiles'), { value: false, origin: '--no-prefetch-files' })
      t.match(setting('timeoutMs'), { value: 0, origin: '--hard' })
      t.match(setting('fileMode'), { value: '644', origin: 'default' })
      t.match(setting('account'), { origin: 'ABFS_ACCOUNT' })
      t.match(setting('connectorProof'), { value: 'key', origin: 'ABFS_CONNECTOR_KEY_FILE' })
      t.notOk(readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `))
    },
  )

  t.test('warns of a directory that is not there: the drive would be empty', async (t) => {
    const { code, found } = await plan('abfs://data/typo', directory, '--plan')

    t.match(found('list'), { verdict: 'warned', detail: /'typo' does not exist/ })
    t.equal(code, 0)
  })

  t.test('=write writes, tags and deletes a name of its own', async (t) => {
    const before = (await abfs('ls', 'abfs://data')).stdout
    const { code, found } = await plan('abfs://data', directory, '--plan=write')

    t.match(found('write'), { verdict: 'ok', detail: /\.abfs-plan-/ })
    t.match(found('delete'), { verdict: 'ok' })
    t.not(found('tags'), undefined)
    t.equal(code, 0)
    t.equal((await abfs('ls', 'abfs://data')).stdout, before, 'and nothing is left')
  })

  t.test('ends with 1 and says why a mount would fail', async (t) => {
    const full = await temporaryDirectory(t)
    await writeFile(join(full, 'file'), '')
    const missing = await plan('abfs://missing', full, '--plan')

    t.equal(missing.code, 1)
    t.equal(missing.printed.ok, false)
    t.match(missing.found('list'), { verdict: 'failed', detail: /does not exist/ })
    t.match(missing.found('directory'), { verdict: 'failed', detail: /--non-empty/ })
  })

  t.test('prints tables for people', async (t) => {
    const { code, stdout } = await abfs('mount', 'abfs://data', '--plan', directory)
    t.equal(code, 0)
    t.match(stdout, /^SETTING +VALUE +FROM\n/)
    t.match(stdout, /\nok +list /)
    t.match(stdout, /this would mount; nothing was mounted\n$/)
  })

  t.test('refuses what does not go together', async (t) => {
    const refused: [string[], RegExp][] = [
      [['abfs://data', directory, '--json'], /--json is for --plan/],
      [['abfs://data', directory, '-r', '--plan=write'], /--read-only/],
      [['abfs://data', directory, 'third', '--plan'], /too many arguments/],
      [['abfs://data'], /missing required argument 'directory'/],
    ]
    for (const [argv, line] of refused)
      failsWith(t, await abfs('mount', ...argv), { code: 2, line })
  })
})
