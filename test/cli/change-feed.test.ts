import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import {
  controlSandbox,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { programVariables } from '../support/program.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

const run = promisify(execFile)
/** The drive is another process, which must not be waited for by this one's own threads. */
const shell = (script: string): Promise<string> =>
  run('bash', ['-c', script], { timeout: 60_000, env: programVariables() }).then(({ stdout }) =>
    stdout.trim(),
  )

/** Fails when it takes a minute. */
async function eventually(condition: () => Promise<boolean>): Promise<void> {
  for (let left = 240; left > 0; left -= 1) {
    if (await condition()) return
    await delay(250)
  }
  throw new Error('it did not come to be')
}

t.test('a drive that reads the change feed', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const flags = ['--engine', 'abfs', '--change-feed', '0', '--control-port', '0']
  const { client: env, variables } = await startCliSandbox(t, ...flags)
  const state = await temporaryDirectory(t)
  const content = join(state, 'content')
  const store = async (name: string, text: string) => {
    await writeFile(content, text)
    const { code, stderr } = await runAbfs(['cp', content, `abfs://data/${name}`], { env })
    t.equal(code, 0, stderr)
  }
  for (const name of ['kept', 'dir/replaced', 'dir/removed', 'desk/file']) await store(name, 'old')
  const driveOf = async (flags: readonly string[]) => {
    const own = { ...env, XDG_STATE_HOME: await temporaryDirectory(t) }
    return (await startDrive(t, ['--attr-ttl', '3600', ...flags], { env: own })).directory
  }
  const fed = await driveOf(['--change-feed', '1'])
  const blind = await driveOf([])
  const seen = (directory: string) =>
    shell(
      `cd '${directory}'; stat -c '%n %s' kept dir/replaced dir/removed dir/made new/deep 2>/dev/null || true`,
    )
  const report = async () => {
    const { stdout } = await runAbfs(['stats', fed, '--json'], { env })
    return JSON.parse(stdout).changeFeed
  }
  const before = 'kept 3\ndir/replaced 3\ndir/removed 3'

  t.test('shows what others change, which one that does not read it still believes', async (t) => {
    // The feed tells of what comes after its first reading.
    await eventually(async () => (await report())?.readAtMs !== undefined)
    t.equal(await seen(fed), before)
    t.equal(await seen(blind), before)
    t.equal(
      await shell(`ls '${fed}' '${fed}/dir' | xargs`),
      `${fed}: desk dir kept ${fed}/dir: removed replaced`,
    )

    await store('dir/replaced', 'longer')
    await store('dir/made', 'made')
    await store('new/deep', 'deep')
    await runAbfs(['rm', 'abfs://data/dir/removed'], { env })

    const after = 'kept 3\ndir/replaced 6\ndir/made 4\nnew/deep 4'
    await eventually(async () => (await seen(fed)) === after)
    t.equal(
      await shell(`ls '${fed}' '${fed}/dir' | xargs`),
      `${fed}: desk dir kept new ${fed}/dir: made replaced`,
    )
    t.equal(await shell(`cat '${fed}/dir/replaced' '${fed}/new/deep'`), 'longerdeep')
    t.equal(await seen(blind), before)
  })

  t.test('who works in a directory stays there when something in it changes', async (t) => {
    const go = join(state, 'go')
    const waits = `until [ -e '${go}' ]; do sleep 0.1; done; /bin/pwd; cat file; cat other`
    const worker = spawn('bash', ['-c', waits], { cwd: join(fed, 'desk'), env: programVariables() })
    let output = ''
    worker.stdout.on('data', (text) => {
      output += text
    })
    await store('desk/file', 'new')
    await store('desk/other', ' and other')
    await eventually(
      async () => (await shell(`cat '${fed}/desk/other' 2>/dev/null || true`)) !== '',
    )
    await eventually(async () => (await shell(`cat '${fed}/desk/file'`)) === 'new')
    await writeFile(go, '')
    await once(worker, 'close')

    t.equal(output, `${fed}/desk\nnew and other`)
  })

  for (const [status, code, why] of [
    [403, 'AuthorizationPermissionMismatch', /^EACCES: /],
    [404, 'ContainerNotFound', /the account has no change feed/],
  ] as const) {
    t.test(`catches up on a feed that could not be read for a while (${status})`, async (t) => {
      await shell(`ls '${fed}/dir'`)
      const effect = { kind: 'status', status, code }
      const faults = [{ path: 'changefeed', nth: 1, count: 100_000, effect }]
      await controlSandbox(variables, 'faults', { faults })
      await eventually(async () => (await report()).failing !== undefined)
      await store(`dir/while-${status}`, 'unseen')
      const { failing } = await report()
      t.match(failing, why)
      t.equal(await shell(`echo mine > '${fed}/own'; cat '${fed}/own'`), 'mine', 'it serves on')

      await controlSandbox(variables, 'faults', { faults: [] })
      await eventually(async () => (await shell(`ls '${fed}/dir'`)).includes(`while-${status}`))
      t.equal((await report()).failing, undefined)
    })
  }
})

t.test('an account without a feed', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client: env } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  const [log, health] = [join(state, 'log'), join(state, 'health')]
  const flags = ['--change-feed', '--log-file', log, '--health-file', health]
  const drive = await startDrive(t, flags, { env })

  t.test('is told of by the drive, which serves all the same', async (t) => {
    await until(() => readFileSync(log, 'utf8').includes('change feed cannot be read'))
    await until(() => drive.output.stderr.includes('change feed cannot be read'))
    const { stdout } = await runAbfs(['stats', drive.directory], { env })

    t.match(stdout, /change feed not read yet.*failing: the account has no change feed \(ENOENT\)/)
    t.equal(await shell(`echo x > '${drive.directory}/f'; cat '${drive.directory}/f'`), 'x')
  })

  t.test('and by the plan', async (t) => {
    const there = await temporaryDirectory(t)
    const { code, stdout } = await runAbfs(
      ['mount', 'abfs://data', there, '--plan', '--change-feed', '5'],
      { env },
    )

    t.equal(code, 0)
    t.match(stdout, /change-feed.*ENOENT.*changes of others would show after --attr-ttl/)
  })

  for (const [given, why] of [
    [['--change-feed', '0'], '--change-feed must be seconds from 1 to 86400'],
    [['--change-feed', 'often'], '--change-feed must be seconds'],
    [['--change-feed', '5', '--immutable'], '--change-feed is for drives that others change'],
    [['--change-feed', '5', '--driver', 'fuse-native'], '--change-feed needs the native driver'],
  ] as const) {
    t.test(`${given.join(' ')} is refused`, async (t) => {
      const { code, stderr } = await runAbfs(['mount', 'abfs://data', state, ...given], { env })
      t.equal(code, 2)
      t.match(stderr, why)
    })
  }
})
