/**
 * Files that another drive replaces all the time are read as one version each, or not at all: ten seconds of each way
 * to mount, five minutes with --long.
 */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import {
  type CliSandbox,
  outputOf,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { isLongRun, runLong, whyNo } from '../support/program.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoCli() || whyNoMounts() || whyNo('python3')
const seconds = isLongRun ? 300 : 10
const program = fileURLToPath(new URL('replaced_readers.py', import.meta.url))

const ways: Readonly<Record<string, (directory: string) => readonly string[]>> = {
  'as it is by default': () => [],
  'with a cache on the disk': (directory) => ['--cache-dir', directory],
  'that asks each time': () => ['--attr-ttl', '0'],
}

interface Counts {
  readonly whole: number
  readonly places: number
  readonly stale: number
  readonly wrong: number
  readonly other: number
}

for (const [name, flags] of Object.entries(ways)) {
  t.test(`a drive ${name} mixes no versions`, { skip, timeout: 0 }, async (t) => {
    const sandbox = await startCliSandbox(t, '--engine', 'abfs')
    const reading = await mount(t, sandbox, flags(await temporaryDirectory(t)))
    const writing = await mount(t, sandbox, [])
    const { status, output } = await runLong('python3', [
      program,
      reading,
      writing,
      String(seconds),
    ])

    t.equal(status, 0, output)
    const counts = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '') as Counts
    const { whole, places, stale, wrong, other } = counts
    t.comment(JSON.stringify(counts))
    t.equal(wrong, 0, output)
    t.equal(other, 0, output)
    t.ok(whole > 10 && places > 10, 'both ways to read were tried')
    t.ok(stale < whole + places, 'most could read what they opened')
  })
}

/** Mounts the container `data`; the drive ends with the test. */
async function mount(t: Test, { client }: CliSandbox, flags: readonly string[]): Promise<string> {
  const mountpoint = await temporaryMountpoint(t)
  const args = ['mount', 'abfs://data', mountpoint, '--foreground', ...flags]
  const daemon = startAbfs(args, { env: client })
  outputOf(daemon)
  t.teardown(async () => {
    const ended = new Promise((resolve) => daemon.on('close', resolve))
    daemon.kill('SIGTERM')
    await ended
  })
  await until(() => readFileSync('/proc/mounts', 'utf8').includes(` ${mountpoint} `))
  return mountpoint
}
