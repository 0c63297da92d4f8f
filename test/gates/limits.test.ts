/**
 * A drive that may have 512 MiB of memory, or 256 descriptors, serves many streams of large files and more open files
 * than descriptors; gigabytes with --long.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { MiB } from '../../src/byte-range.ts'
import {
  cliCommand,
  outputOf,
  startCliSandbox,
  temporaryDirectory,
  until,
  type Variables,
  whyNoCli,
} from '../support/cli.ts'
import { isLongRun, runLong, sanitizerVariables, whyNo } from '../support/program.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const streams = isLongRun ? 16 : 6
const streamMiB = isLongRun ? 256 : 24
const limitBytes = 512 * MiB
const skip = whyNoCli() || whyNoMounts() || whyNo('python3') || whyNo('openssl')

/** A memory cgroup of version 1 or 2 below the one of this process. */
interface MemoryGroup {
  /** Puts the shell that runs it in. */
  readonly enter: string
  /** Processes that the kernel killed for want of memory; `undefined` where it does not say. */
  kills(): number
}

function memoryGroup(t: Test): MemoryGroup | undefined {
  const own = readFileSync('/proc/self/cgroup', 'utf8')
  const v1 = /^\d+:memory:(.*)$/m.exec(own)?.[1]
  const v2 = /^0::(.*)$/m.exec(own)?.[1]
  const parent = v1 === undefined ? `/sys/fs/cgroup${v2}` : `/sys/fs/cgroup/memory${v1}`
  const group = join(parent, `abfs-test-${process.pid}`)
  const limit = v1 === undefined ? 'memory.max' : 'memory.limit_in_bytes'
  try {
    mkdirSync(group)
    t.teardown(() => rmdirSync(group))
    writeFileSync(join(group, limit), String(limitBytes))
  } catch {
    return undefined
  }
  const events = join(group, v1 === undefined ? 'memory.events' : 'memory.oom_control')
  return {
    enter: `echo $$ > '${group}/cgroup.procs'`,
    kills: () => Number(/^oom_kill (\d+)$/m.exec(readFileSync(events, 'utf8'))?.[1] ?? 0),
  }
}

interface Confinement {
  /** What the shell runs before it becomes the drive. */
  readonly first?: string
  readonly flags?: readonly string[]
  readonly env: Variables
}

/** A drive in the foreground that may have little, and its process. */
async function confined(t: Test, { first = 'true', flags = [], env }: Confinement) {
  const directory = await temporaryMountpoint(t)
  const mount = cliCommand(['mount', 'abfs://data', directory, '--foreground', ...flags])
  const command = mount.map((word) => `'${word}'`).join(' ')
  const daemon = spawn('bash', ['-ec', `${first}; exec ${command}`], {
    env: { PATH: process.env['PATH'] ?? '', ...sanitizerVariables, ...env },
  })
  t.teardown(() => daemon.kill('SIGKILL'))
  const output = outputOf(daemon)
  const ended = new Promise<number | null>((resolve) => daemon.on('close', resolve))
  await until(() => output.stderr.includes('mounted on') || daemon.exitCode !== null)
  t.equal(daemon.exitCode, null, output.stderr)
  const end = () => {
    daemon.kill('SIGTERM')
    return ended
  }
  return { directory, pid: daemon.pid ?? 0, output, end }
}

/** Many at once: each writes a file of its own, then reads all of another's in two places at a time. */
const load = `
  content() { head -c ${streamMiB}M /dev/zero | openssl enc -aes-128-ctr -K 0$1 -iv 0 -nosalt 2>/dev/null; }
  for i in $(seq 10 ${9 + streams}); do { content $i > file-$i; } & pids="$pids $!"; done
  for pid in $pids; do wait $pid; done; pids=
  check() { [ "$(sha256sum < file-$1)" = "$(content $1 | sha256sum)" ]; }
  for i in $(seq 10 ${9 + streams}); do
    check $i & pids="$pids $!"
    tail -c 20M file-$i > /dev/null & pids="$pids $!"
  done
  for pid in $pids; do wait $pid; done`

/** Holds 600 files open at once, to write and then to read. */
const manyFiles = `python3 -c '
body = lambda i: bytes([i % 251]) * (90000 + i)
written = [open(f"open-{i}", "wb", buffering=0) for i in range(600)]
for i, file in enumerate(written): assert file.write(body(i)) == len(body(i))
for file in written: file.close()
read = [open(f"open-{i}", "rb") for i in range(600)]
assert all(file.read() == body(i) for i, file in enumerate(read))
'`

async function does(t: Test, script: string, directory: string): Promise<void> {
  const { status, output } = await runLong('bash', ['-ec', `cd '${directory}'; ${script}`])
  t.equal(status, 0, output)
}

t.test('a drive has little room', { skip, timeout: 0 }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: state, HOME: state, TMPDIR: state }

  /** What it holds at most beside the load, which is all that a budget limits where no cgroup can be made. */
  const holds = async (t: Test, group: MemoryGroup | undefined, ...flags: string[]) => {
    const drive = await confined(t, { ...(group && { first: group.enter }), flags, env })

    await does(t, load, drive.directory)

    const status = readFileSync(`/proc/${drive.pid}/status`, 'utf8')
    const peakMiB = Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024)
    t.comment(`${streams} files of ${streamMiB} MiB: resident at most ${peakMiB} MiB`)
    t.equal(await drive.end(), 0, drive.output.stderr)
    t.ok(peakMiB * MiB < limitBytes * 0.8, `${peakMiB} MiB leave room`)
  }
  const group = memoryGroup(t)
  const noGroup = group === undefined && 'no memory cgroup can be made here'

  t.test('of memory: its cgroup has 512 MiB', { skip: noGroup, timeout: 0 }, async (t) => {
    await holds(t, group)
    t.equal(group?.kills(), 0, 'nothing was killed')
  })

  t.test('of memory: its budget is 128 MiB', { skip: !noGroup, timeout: 0 }, (t) =>
    holds(t, undefined, '--memory-budget', '128M'),
  )

  t.test('of descriptors: it may have 256', { timeout: 0 }, async (t) => {
    const cached = { ...env, ABFS_CACHE_DIR: join(state, 'cache') }
    const drive = await confined(t, { first: 'ulimit -n 256', env: cached })

    await does(t, load, drive.directory)
    await does(t, manyFiles, drive.directory)

    const descriptors = readdirSync(`/proc/${drive.pid}/fd`).length
    t.ok(descriptors < 256, `${descriptors} are open`)
    t.equal(await drive.end(), 0, drive.output.stderr)
    t.notMatch(drive.output.stderr, /EMFILE|"level":50/)
  })
})
