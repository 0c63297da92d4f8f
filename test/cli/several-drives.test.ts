import { existsSync } from 'node:fs'
import { mkdir, readFile, realpath, writeFile } from 'node:fs/promises'
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

  t.test('mount all shows every container, but for those that are left out', async (t) => {
    const directory = await temporaryMountpoint(t)
    t.equal((await abfs('mkdir', 'abfs://tmp-1')).code, 0)
    const plan = await abfs('mount', 'all', directory, '--read-only', '--plan')
    t.equal(plan.code, 0, plan.stderr)
    t.match(plan.stdout, `${directory}/data would be made`)
    t.equal(await shell(`ls '${directory}'`), '', 'a plan makes nothing')
    await mkdir(join(directory, 'other'))
    const result = await abfs('mount', 'all', directory, '--deny', 'tmp-*', '--read-only')
    t.equal(result.code, 0, result.stderr)

    t.equal(await shell(`ls '${directory}'`), 'data\nother\n')
    t.equal(await shell(`cat '${directory}/other/f'`), 'two\n')
    t.match((await abfs('mount', 'list')).stdout, `${directory}/data `)
    const { stdout } = await abfs('unmount', directory)

    const lines = ['other', 'data'].map((name) => `abfs://${name} from ${directory}/${name}`)
    t.strictSame(
      stdout.trimEnd().split('\n').sort(),
      lines.map((line) => `unmounted ${line}`).sort(),
    )
    t.strictSame(await statesOf(`${directory}/data`, `${directory}/other`), [])
    t.equal(await shell(`ls '${directory}'`), 'other\n', 'what was made goes with its drive')
  })

  t.test('a mount all that fails leaves no directory that it made', async (t) => {
    const directory = await temporaryMountpoint(t)
    await mkdir(join(directory, 'other'))
    await writeFile(join(directory, 'other', 'file'), 'in the way')

    const result = await abfs('mount', 'all', directory)

    t.not(result.code, 0)
    t.equal(await shell(`ls '${directory}'`), 'other\n')
  })

  t.test('unmount all beside a directory of that name unmounts nothing', async (t) => {
    const parent = await realpath(await temporaryMountpoint(t))
    const directory = join(parent, 'all')
    await mkdir(directory)
    t.teardown(() => shell(`umount -l '${directory}' 2>/dev/null || true`))
    const here = (...argv: readonly string[]) => runAbfs(argv, { env, cwd: parent })
    t.equal((await here('mount', 'abfs://data', 'all')).code, 0)

    const refused = await here('unmount', 'all')

    failsWith(t, refused, { code: 2, line: /write \.\/all, or --all for every drive/ })
    t.match(await statesOf(directory), [{ state: 'serving' }])
    t.equal((await here('unmount', './all')).stdout, `unmounted abfs://data from ${directory}\n`)
  })

  t.test('mount all of nothing, or in no directory, is told', async (t) => {
    const directory = await temporaryMountpoint(t)
    const config = join(state, 'blobfuse.yaml')
    await writeFile(config, 'mountall:\n  container-allowlist:\n    - none\n    - no-*\n')

    const nothing = await abfs('mount', 'all', directory, '--config-file', config)

    failsWith(t, nothing, { code: 3, line: /of 3 containers that the account has, none is chosen/ })
    const nowhere = await abfs('mount', 'all', '/nowhere/b')
    failsWith(t, nowhere, { code: 3, line: /create it with `mkdir -p \/nowhere\/b`/ })
    const alone = await abfs('mount', 'abfs://data', directory, '--allow', 'x')
    failsWith(t, alone, { code: 2, line: /--allow and --deny choose containers of mount all/ })
  })

  t.test('a directory that is missing, and a health file of two, are told', async (t) => {
    const [one, two] = ['/nowhere/a', '/nowhere/b']
    const pairs = ['abfs://data', one, 'abfs://other', two]
    const health = ['--health-file', join(state, 'health')]

    failsWith(t, await abfs('mount', ...pairs.slice(0, 3)), { code: 2, line: /too many arg/ })
    failsWith(t, await abfs('mount', ...pairs, ...health), { code: 2, line: /of one drive/ })
  })
})
