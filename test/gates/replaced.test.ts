/**
 * Files that another drive replaces all the time are read as one version each, or not at all: ten seconds of each way
 * to mount, five minutes with --long.
 */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { isLongRun, runLong, whyNo } from '../support/program.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

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
    const env = sandbox.client
    const reading = await startDrive(t, flags(await temporaryDirectory(t)), { env })
    const writing = await startDrive(t, [], { env })
    const places = [reading.directory, writing.directory]
    const { status, output } = await runLong('python3', [program, ...places, String(seconds)])

    t.equal(status, 0, output)
    const counts = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '') as Counts
    const { whole, places: inPlaces, stale, wrong, other } = counts
    t.comment(JSON.stringify(counts))
    t.equal(wrong, 0, output)
    t.equal(other, 0, output)
    t.ok(whole > 10 && inPlaces > 10, 'both ways to read were tried')
    t.ok(stale < whole + inPlaces, 'most could read what they opened')
    for (const drive of [reading, writing]) t.equal(await drive.end(), 0, drive.output.stderr)
  })
}
