/** Drives that outlive their daemons. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { handoverFileOf } from '../../src/cli/drive/registry.ts'
import { runtimeDirectory } from '../../src/config.ts'
import {
  failsWith,
  outputOf,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  type Variables,
  whyNoCli,
} from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const MiB = 1024 * 1024
const readerScript = fileURLToPath(new URL('../support/failover-reader.py', import.meta.url))
const nameCount = 600

interface Serving {
  readonly pid: number
  readonly keeperPid: number
}

t.test('a drive with --failover', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  await fill(await temporaryDirectory(t), env)
  const start = (t: Test, ...flags: string[]) => startDrive(t, ['--failover', ...flags], { env })

  t.test('is read on while its daemon is killed again and again', async (t) => {
    const { directory, end } = await start(t, '--read-only')
    const reader = await startReader(t, directory)
    for (let kills = 0; kills < 5; kills++) await kill(directory, env)
    const outcome = await reader.end()

    t.strictSame(outcome.failures, [])
    t.ok(outcome.rounds > 1)
    t.equal(outcome.late, block(0).subarray(0, 4).toString('hex'))
    t.strictSame([...outcome.names].sort(), allNames().sort(), 'each name once')
    t.equal(await end(), 0)
    t.notOk(isMounted(directory))
  })

  t.test('is handed over by abfs restart, twice in a row', async (t) => {
    const { directory, end } = await start(t, '--read-only')
    const reader = await startReader(t, directory)
    const before = await serving(directory, env)
    for (let times = 0; times < 2; times++) {
      const { pid: formerPid } = await serving(directory, env)
      const { code, stdout, stderr } = await runAbfs(['restart', directory, '--json'], { env })
      t.equal(code, 0, stderr)
      const { pid } = await serving(directory, env)
      t.strictSame(JSON.parse(stdout), { directory, source: 'abfs://data', formerPid, pid })
      t.not(pid, formerPid)
    }
    const after = await serving(directory, env)
    const outcome = await reader.end()

    t.strictSame(outcome.failures, [])
    t.strictSame([...outcome.names].sort(), allNames().sort())
    t.equal(after.keeperPid, before.keeperPid)
    t.equal(await end(), 0)
  })

  t.test('reads on what was opened, and nothing else, when others replace it', async (t) => {
    await runAbfs(['cp', '-', 'abfs://data/replaced'], { env, input: 'first' })
    const { directory } = await start(t, '--read-only')
    const readLater = spawn('sh', [
      '-c',
      `exec 5< '${directory}/replaced'; echo open; read x; cat <&5`,
    ])
    t.teardown(() => readLater.kill('SIGKILL'))
    const output = outputOf(readLater)
    await until(() => output.stdout.includes('open'))
    await kill(directory, env)
    await runAbfs(['cp', '-', 'abfs://data/replaced'], { env, input: 'other' })
    readLater.stdin.write('\n')
    await once(readLater, 'close')

    t.notMatch(output.stdout, 'other')
    t.match(output.stderr, /Stale file handle/)
    t.equal(await shell(`cat '${directory}/replaced'`), 'other', 'who opens it anew reads that')
  })

  t.test('tells what others replaced meanwhile from what the kernel knows', async (t) => {
    const put = (name: string, input: string) =>
      runAbfs(['cp', '-', `abfs://data/${name}`], { env, input })
    for (const name of ['left', 'changed']) await put(name, 'x'.repeat(70_000))
    const { directory } = await start(t, '--read-only', '--attr-ttl', '0')
    const numbers = () => shell(`cd '${directory}' && stat -c %i left changed`)
    const before = (await numbers()).split('\n')
    await kill(directory, env)
    await put('changed', 'other')

    t.equal(await shell(`cat '${directory}/changed'`), 'other')
    const after = (await numbers()).split('\n')
    t.equal(after[0], before[0])
    t.not(after[1], before[1], 'another inode, of whose size the kernel knew nothing')
  })

  t.test('has its locks held over a takeover', async (t) => {
    const { directory } = await start(t, '--read-only')
    const file = `${directory}/big`
    const holder = spawn('flock', ['--exclusive', file, 'sh', '-c', 'echo held; read x'])
    t.teardown(() => holder.kill('SIGKILL'))
    const output = outputOf(holder)
    await until(() => output.stdout.includes('held'))
    const tryLock = () => shell(`flock --nonblock '${file}' echo taken || echo busy`)

    t.match(await tryLock(), 'busy')
    await kill(directory, env)
    t.match(await tryLock(), 'busy', 'the next daemon knows of nothing that would free it')
    holder.stdin.end('\n')
    await once(holder, 'close')
    t.match(await tryLock(), 'taken')
  })

  t.test('ends with its daemon once its keeper is gone', async (t) => {
    const { directory, daemon } = await start(t, '--read-only')
    const left = handoverFileOf(runtimeDirectory(env, process.getuid?.() ?? 0), directory)
    t.ok(existsSync(left))
    const { pid } = await serving(directory, env)
    daemon.kill('SIGKILL')
    await until(() => daemon.signalCode !== null)
    t.match(await shell(`ls '${directory}'`), 'big', 'it is served on')
    process.kill(pid, 'SIGKILL')
    await until(() => !existsSync(`/proc/${pid}`))

    t.match(await shell(`stat '${directory}/big' 2>&1 || true`), /not connected/)
    const { code, stderr } = await runAbfs(['unmount', directory], { env })
    t.equal(code, 0, stderr)
    t.notOk(isMounted(directory))
    await startDrive(t, ['--read-only'], { env })
    t.notOk(existsSync(left), 'the next drive of the machine sweeps what was left')
  })

  t.test('is detached when nobody can take it over, and who waits is told', async (t) => {
    const key = join(await temporaryDirectory(t), 'key')
    const { ABFS_CONNECTOR_KEY_FILE: file = '' } = client
    await shell(`cp -p '${file}' '${key}'`)
    const own = { ...env, ABFS_CONNECTOR_KEY_FILE: key }
    const drive = await startDrive(t, ['--failover', '--read-only'], { env: own })
    const { directory, daemon, output } = drive
    const { pid } = await serving(directory, own)
    rmSync(key)
    process.kill(pid, 'SIGKILL')
    const between = await runAbfs(['status', '--json', directory, '--alive'], { env: own })
    t.match(between.stdout, '"state":"restarting"')
    t.equal(between.code, 0)
    const waited = shell(`stat '${directory}/dir/n-0500' 2>&1 || true`)
    const killed = spawn('stat', [`${directory}/dir/n-0501`], { stdio: 'ignore' })
    await delay(200)
    t.equal(killed.exitCode, null, 'it waits')
    killed.kill('SIGKILL')
    await until(() => killed.signalCode !== null)
    t.equal(daemon.exitCode, null, 'who is killed does not wait for that')
    await until(() => daemon.exitCode !== null)

    t.match(await waited, /not connected|connection abort/)
    t.equal(daemon.exitCode, 1)
    t.match(output.stderr, 'its daemons ended again and again')
    t.match(output.stderr, key, 'why is told')
    t.notOk(isMounted(directory))
  })

  t.test('is refused beside what ends with a daemon', async (t) => {
    const mount = (...argv: string[]) =>
      runAbfs(['mount', 'abfs://data', ...argv, '--failover'], { env })

    failsWith(t, await mount('/dev/fd/9', '--read-only'), { code: 2, line: /--failover/ })
    for (const flags of [['--stats-dir'], ['--driver', 'fuse-native']]) {
      const result = await mount('/mnt', '--read-only', ...flags)
      failsWith(t, result, { code: 2, line: new RegExp(`${flags[0]}`) })
    }
    const several = ['/mnt', 'abfs://data', '/media', '--read-only']
    failsWith(t, await mount(...several), { code: 2, line: /--failover is of one drive/ })
  })

  t.test('alone is restarted', async (t) => {
    const { directory } = await startDrive(t, ['--read-only'], { env })

    const restart = (at: string) => runAbfs(['restart', at], { env })
    failsWith(t, await restart(directory), { code: 1, line: /ENOTSUP.*without --failover/ })
    failsWith(t, await restart('/tmp'), { code: 3, line: /ENOENT.*no daemon of yours/ })
  })
})

/** `big`, `dir/n-0000` and so on. */
async function fill(directory: string, env: Variables): Promise<void> {
  await shell(`mkdir -p '${directory}/dir'`)
  for (const name of allNames().filter((name) => !name.startsWith('.'))) {
    await writeFile(join(directory, 'dir', name), name)
  }
  await writeFile(join(directory, 'big'), block(64 * MiB))
  const { code, stderr } = await runAbfs(['cp', '-r', `${directory}/`, 'abfs://data/'], { env })
  if (code !== 0) throw new Error(stderr)
}

function allNames(): string[] {
  const names = Array.from(
    { length: nameCount },
    (_, index) => `n-${String(index).padStart(4, '0')}`,
  )
  return ['.', '..', ...names]
}

/** As the reader has it, of seed 3. */
function block(sizeBytes: number): Buffer {
  const pattern = Buffer.from(Array.from({ length: 251 }, (_, at) => (at * 7 + 3) % 251))
  return Buffer.alloc(sizeBytes || 251, pattern)
}

interface ReaderOutcome {
  readonly rounds: number
  readonly failures: readonly string[]
  readonly names: readonly string[]
  readonly late: string
}

async function startReader(t: Test, directory: string) {
  const argv = [readerScript, join(directory, 'big'), join(directory, 'dir'), '3']
  const child = spawn('python3', argv, { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const closed = once(child, 'close')
  let stdout = ''
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString()
  })
  await until(() => stdout.includes('ready') || child.exitCode !== null)
  if (child.exitCode !== null) throw new Error('the reader ended')
  const end = async (): Promise<ReaderOutcome> => {
    child.stdin.end()
    await closed
    return JSON.parse(stdout.replace('ready', '')) as ReaderOutcome
  }
  return { end }
}

/** Kills the daemon, and waits for the next. */
async function kill(directory: string, env: Variables): Promise<void> {
  const { pid } = await serving(directory, env)
  process.kill(pid, 'SIGKILL')
  await serving(directory, env, pid)
}

/** Who serves the drive, other than `former`. */
async function serving(directory: string, env: Variables, former = 0): Promise<Serving> {
  for (let times = 0; times < 300; times++) {
    const { stdout } = await runAbfs(['status', '--json'], { env })
    const drives = JSON.parse(stdout) as (Serving & { directory: string; state: string })[]
    const found = drives.find((drive) => drive.directory === directory)
    if (found?.state === 'serving' && found.pid !== former) return found
  }
  throw new Error(`nobody but ${former} serves ${directory}`)
}

function isMounted(directory: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `)
}
