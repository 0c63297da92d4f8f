/** The directory of reports at the top of a drive, as programs see it. */
import { execFile } from 'node:child_process'
import t from 'tap'
import {
  outputOf,
  runAbfs,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

/** What a shell wrote on both, and how it ended. */
function run(command: string): Promise<{ readonly code: number; readonly text: string }> {
  return new Promise((resolve) => {
    execFile('bash', ['-c', command], (error, stdout, stderr) => {
      resolve({ code: Number(error?.code ?? 0), text: `${stdout}${stderr}` })
    })
  })
}

t.test('a drive with --stats-dir', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const abfs = (...argv: string[]) => runAbfs(argv, { env })
  await runAbfs(['cp', '-', 'abfs://data/d/one'], { env, input: 'one' })
  const directory = await temporaryMountpoint(t)
  const other = await temporaryDirectory(t)
  const mounted = async (...argv: string[]) => {
    const daemon = startAbfs(['mount', ...argv, '--foreground'], { env })
    t.teardown(() => daemon.kill('SIGKILL'))
    const output = outputOf(daemon)
    await until(() => output.stderr.includes('mounted on') || daemon.exitCode !== null)
    const end = async () => {
      daemon.kill('SIGTERM')
      await until(() => daemon.exitCode !== null)
      return daemon.exitCode
    }
    return { output, end }
  }
  // Without a value, the place behind it is no name.
  const { end } = await mounted('--stats-dir', 'abfs://data', directory)
  const reports = `${directory}/.abfs`
  await run(`cat '${directory}/d/one'`)

  const stats = JSON.parse((await run(`cat '${reports}/stats'`)).text)
  const asked = JSON.parse((await abfs('stats', directory, '--json')).stdout)
  t.strictSame(Object.keys(stats).sort(), Object.keys(asked).sort(), 'as abfs stats --json')
  t.equal(stats.calls.readBytes, 3)
  t.equal(stats.pid, asked.pid)
  t.match((await run(`cat '${reports}/metrics'`)).text, /^abfs_drive_read_bytes_total 3$/m)
  t.strictSame(JSON.parse((await run(`cat '${reports}/health'`)).text), {
    serving: true,
    unsavedFiles: 0,
  })
  t.equal((await run(`cat '${reports}/unsaved'`)).text, '')
  await run(`cp '${reports}/stats' '${other}/copy' && cp '${reports}/stats' '${directory}/copy'`)
  t.equal(JSON.parse((await run(`cat '${other}/copy'`)).text).pid, asked.pid, 'copies are whole')
  t.equal(JSON.parse((await run(`cat '${directory}/copy'`)).text).pid, asked.pid)

  const tree = ['', '/copy', '/d', '/d/one'].map((each) => `${directory}${each}\n`).join('')
  t.equal((await run(`find '${directory}' | sort`)).text, tree, 'find goes past them')
  t.notMatch((await run(`tar -cf - -C '${directory}' . | tar -tf -`)).text, /abfs/)
  const made = await run(`mkdir '${reports}'; touch '${reports}/new'; rmdir '${reports}'`)
  t.match(made.text, /File exists(.|\n)*Read-only file system(.|\n)*Read-only/)
  t.strictSame(await run(`rm -r '${directory}'/* && ls -A '${directory}'`), { code: 0, text: '' })
  t.match((await run(`ls '${reports}'`)).text, /stats/, 'and they are there yet')
  t.equal(await end(), 0)

  t.test('is not mounted where its name is taken, and a plan says so', async (t) => {
    await runAbfs(['cp', '-', 'abfs://data/top/.abfs/mine'], { env, input: 'mine' })
    const taken = await abfs('mount', 'abfs://data/top', directory, '--stats-dir')
    t.equal(taken.code, 6, taken.stderr)
    t.match(taken.stderr, /EEXIST: --stats-dir would hide the \.abfs .*--stats-dir=NAME/)
    const plan = await abfs('mount', '--plan', '--stats-dir', 'abfs://data/top', directory)
    t.equal(plan.code, 1)
    t.match(plan.stdout, /stats-dir.*would hide the \.abfs/)
    t.match(plan.stdout, /statsDir.*\.abfs.*--stats-dir/)

    const named = await mounted('abfs://data/top', directory, '--stats-dir=told')
    t.equal((await run(`cat '${directory}/.abfs/mine'`)).text, 'mine')
    t.match((await run(`cat '${directory}/told/health'`)).text, /"serving":true/)
    await runAbfs(['cp', '-', 'abfs://data/top/told'], { env, input: 'hidden' })
    await until(() => {
      void run(`ls -A '${directory}'`)
      return named.output.stderr.includes('is hidden by --stats-dir')
    })
    t.equal((await run(`ls -A '${directory}'`)).text, '.abfs\n')
    t.equal(await named.end(), 0)
  })

  t.test('takes one name', async (t) => {
    for (const name of ['..', '']) {
      const wrong = await abfs('mount', 'abfs://data', directory, `--stats-dir=${name}`)
      t.equal(wrong.code, 2, wrong.stderr)
      t.match(wrong.stderr, /--stats-dir must be one name such as \.abfs/)
    }
    const other = await abfs(
      'mount',
      'abfs://data',
      directory,
      '--stats-dir',
      '--driver=fuse-native',
    )
    t.equal(other.code, 2)
    t.match(other.stderr, /--stats-dir needs the native driver/)
  })
})
