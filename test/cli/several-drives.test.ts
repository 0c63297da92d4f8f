import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  whyNoCli,
} from '../support/cli.ts'
import { shell, temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

t.test('several drives', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs', '--container', 'other')
  const state = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: state }
  const abfs = (...argv: readonly string[]) => runAbfs(argv, { env })
  const statesOf = async (...directories: string[]) => {
    const drives: { directory: string; pid: number }[] = JSON.parse(
      (await abfs('status', '--json')).stdout,
    )
    return drives.filter(({ directory }) => directories.includes(directory))
  }

  t.test('one process serves them, and each ends by itself', async (t) => {
    const [one, two] = [await temporaryMountpoint(t), await temporaryMountpoint(t)]
    const log = join(state, 'both.log')
    const listen = ['--metrics-listen', '127.0.0.1:0', '--log-file', log]
    const result = await abfs('mount', 'abfs://data', one, 'abfs://other', two, ...listen)
    t.equal(result.code, 0, result.stderr)
    await shell(`echo one > '${one}/f'; echo two > '${two}/f'; mv '${one}/f' '${two}/moved'`)

    const [first, second, ...others] = await statesOf(one, two)
    t.strictSame(others, [])
    t.equal(first?.pid, second?.pid)
    t.equal(await shell(`cat '${two}/f' '${two}/moved'; ls '${one}'`), 'two\none\n')
    const port = /"port":(\d+)/.exec(await readFile(log, 'utf8'))?.[1]
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    t.match(metrics, `abfs_drive_written_bytes_total{directory="${one}"} 4\n`)
    t.match(metrics, `abfs_drive_written_bytes_total{directory="${two}"} 8\n`)
    t.equal(metrics.match(/^# TYPE abfs_drive_call_duration_seconds /gm)?.length, 1)

    t.equal((await abfs('unmount', one)).stdout, `unmounted abfs://data from ${one}\n`)
    t.match(await statesOf(one, two), [{ directory: two, state: 'serving', pid: first?.pid }])
    t.equal(await shell(`cat '${two}/f'`), 'two\n')
    t.equal((await abfs('unmount', two)).code, 0)
    // Of a process that nobody has waited for nothing but its number is left.
    t.notOk(existsSync(`/proc/${first?.pid}/exe`))
  })

  t.test('when one cannot be mounted, none is', async (t) => {
    const [one, two] = [await temporaryMountpoint(t), await temporaryMountpoint(t)]

    const result = await abfs('mount', 'abfs://data', one, 'abfs://missing', two)

    failsWith(t, result, { code: 3, line: /ENOENT.*abfs:\/\/missing/ })
    t.strictSame(await statesOf(one, two), [])
    t.equal(await shell(`grep -c -e '${one}' -e '${two}' /proc/mounts || true`), '0\n')
  })

  t.test('a directory that is missing, and a health file of two, are told', async (t) => {
    const [one, two] = ['/nowhere/a', '/nowhere/b']
    const pairs = ['abfs://data', one, 'abfs://other', two]
    const health = ['--health-file', join(state, 'health')]

    failsWith(t, await abfs('mount', ...pairs.slice(0, 3)), { code: 2, line: /too many arg/ })
    failsWith(t, await abfs('mount', ...pairs, ...health), { code: 2, line: /of one drive/ })
  })
})
