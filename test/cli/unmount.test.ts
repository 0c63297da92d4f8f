import { once } from 'node:events'
import { existsSync, statSync } from 'node:fs'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  failsWith,
  runAbfs,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { shell, temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

t.test('abfs unmount', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  // Drives of other tests are none of `--all`'s: notes of a user who is not root lie there.
  const env = { ...client, XDG_STATE_HOME: state }
  const abfs = (argv: readonly string[], input = '') => runAbfs(argv, { env, input })

  for (const name of ['file', 'other', 'third']) {
    await abfs(['cp', '-', `abfs://data/${name}`], 'first')
  }

  async function mounted(t: Test): Promise<string> {
    const directory = await temporaryMountpoint(t)
    t.equal((await abfs(['mount', 'abfs://data', directory])).code, 0)
    return directory
  }

  /** Another writer is between our open and our close. */
  async function conflict(directory: string, name: string): Promise<void> {
    // It begins before: a process that is born while the file is open closes it once, which stores.
    const other = startAbfs(['cp', '-', `abfs://data/${name}`], { env })
    const file = await open(join(directory, name), 'r+')
    await file.write('ours')
    other.stdin?.end('theirs, longer')
    await once(other, 'exit')
    await file.close().then(
      () => t.fail('the conflict was not told'),
      () => undefined,
    )
  }

  async function driveAt(directory: string): Promise<Record<string, unknown>> {
    const { stdout } = await abfs(['status', '--json'])
    const drives: Record<string, unknown>[] = JSON.parse(stdout)
    return drives.find((drive) => drive['directory'] === directory) ?? {}
  }

  t.test(
    'names what could not be stored, its bytes and their place, and ends with 1',
    async (t) => {
      const directory = await mounted(t)
      await conflict(directory, 'file')

      const { code, stdout, stderr } = await abfs(['unmount', directory])

      t.equal(code, 1, stderr)
      t.equal(stdout, `unmounted abfs://data from ${directory}\n`)
      const line = /^abfs: not stored: abfs:\/\/data\/file \(5 B\): ESTALE.*; kept in (\/.+)\n$/
      t.match(stderr, line)
      t.equal(await readFile(line.exec(stderr)?.[1] ?? '', 'utf8'), 'ourst')
      t.equal((await abfs(['cat', 'abfs://data/file'])).stdout, 'theirs, longer')
    },
  )

  t.test('says it as JSON', async (t) => {
    const directory = await mounted(t)
    await conflict(directory, 'other')

    t.equal((await abfs(['status', directory])).code, 1)
    t.equal((await abfs(['status', directory, '--alive'])).code, 0)
    failsWith(t, await abfs(['status', state]), { code: 3, line: /no drive is there/ })
    const { code, stdout } = await abfs(['unmount', '--json', directory])

    const { pid, logFile, unsaved, ...rest } = JSON.parse(stdout)
    t.equal(code, 1)
    t.same(rest, { directory, source: 'abfs://data', allStored: false })
    t.match({ pid, logFile }, { pid: Number, logFile: String })
    t.match(unsaved, [{ path: 'abfs://data/other', sizeBytes: 5, error: /ESTALE/ }])
    t.ok(existsSync(unsaved[0].place))
  })

  t.test('in the foreground SIGTERM says the same', async (t) => {
    const directory = await temporaryMountpoint(t)
    const child = startAbfs(['mount', 'abfs://data', directory, '--foreground'], { env })
    let stderr = ''
    child.stderr?.on('data', (text) => {
      stderr += text
    })
    await until(() => stderr.includes('mounted on'))
    await conflict(directory, 'third')

    child.kill('SIGTERM')
    await until(() => child.exitCode !== null)

    t.equal(child.exitCode, 1)
    t.match(stderr, /abfs: not stored: abfs:\/\/data\/third \(5 B\): ESTALE.*; kept in \//)
    t.match(stderr, /abfs: EIO: 1 file could not be stored/)
  })

  t.test('a daemon that is killed is told by status, and replaced by a mount', async (t) => {
    const directory = await mounted(t)
    const { pid, logFile } = await driveAt(directory)
    process.kill(Number(pid), 'SIGKILL')
    await until(() => !existsSync(`/proc/${pid}/exe`))

    t.match(await driveAt(directory), { state: 'dead', pid, logFile })
    t.equal((await abfs(['status', '--alive', directory])).code, 1)
    t.equal((await abfs(['mount', 'abfs://data', directory])).code, 0)

    t.match(await driveAt(directory), { state: 'serving' })
    t.equal((await abfs(['status', '--alive', directory])).code, 0)
    t.equal(await shell(`stat -c %F '${directory}'`), 'directory\n')
    t.equal((await abfs(['unmount', directory])).code, 0)
  })

  t.test('a dead drive goes without --lazy', async (t) => {
    const directory = await mounted(t)
    const { pid } = await driveAt(directory)
    process.kill(Number(pid), 'SIGKILL')
    await until(() => !existsSync(`/proc/${pid}/exe`))

    const { code, stdout, stderr } = await abfs(['unmount', directory])

    t.equal(code, 0)
    t.equal(stdout, `unmounted abfs://data from ${directory}\n`)
    t.match(stderr, new RegExp(`daemon \\(pid ${pid}\\) had died, its log is /.*abfs doctor`))
    t.ok(statSync(directory).isDirectory())
  })

  t.test(
    'several directories, of which one is none: the others go, its error is told',
    async (t) => {
      const directory = await mounted(t)
      const none = await temporaryDirectory(t)

      const { code, stdout, stderr } = await abfs(['unmount', none, directory])

      t.equal(code, 3)
      t.match(stderr, /^abfs: ENOENT: nothing is mounted there/)
      t.equal(stdout, `unmounted abfs://data from ${directory}\n`)
    },
  )

  t.test('wants a directory, or --all, not both', async (t) => {
    failsWith(t, await abfs(['unmount']), {
      code: 2,
      line: /missing required argument 'directory'/,
    })
    failsWith(t, await abfs(['unmount', '--all', '/mnt']), { code: 2, line: /--all takes no dir/ })
  })
})
