import { createHash } from 'node:crypto'
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { DriveOptions } from '../support/drive-server.ts'
import { isLongRun } from '../support/program.ts'
import { startDrive, temporaryDirectory } from '../support/temp-drive.ts'
import { whyNoMounts } from '../support/temp-mount.ts'
import { randomCalls } from './random-calls.ts'
import { compileCaller, runCases, whyNoCompiler } from './run-cases.ts'

/** Two seeds, forty with --long. Others: `ABFS_DRIVE_SEEDS=100-199`, and `ABFS_DRIVE_CALLS` for longer programs. */
const range = process.env['ABFS_DRIVE_SEEDS'] ?? (isLongRun ? '1-40' : '1-2')
const [first = 1, last = first] = range.split('-').map(Number)
const calls = Number(process.env['ABFS_DRIVE_CALLS'] ?? 800)
const seeds = Array.from({ length: last - first + 1 }, (_, index) => first + index)
const skip = whyNoMounts() || whyNoCompiler()

const drives: Record<string, Omit<Partial<DriveOptions>, 'mountpoint'>> = {
  'a flat account': {},
  'a hierarchical account': { hierarchical: true },
  'a flat account with write-back': { writeBack: true, writeBackQuietMs: 100 },
}

for (const [account, options] of Object.entries(drives)) {
  t.test(`random calls on ${account} give what they give on a local file system`, { skip }, (t) =>
    compare(t, options),
  )
}

async function compare(t: Test, options: (typeof drives)[string]): Promise<void> {
  const local = await temporaryDirectory(t)
  const small = { blockBytes: 65_536, spoolMemoryBytes: 32_768 }
  const journalDirectory = join(await temporaryDirectory(t), 'journal')
  const drive = await startDrive(t, { ...small, journalDirectory, ...options })
  const program = await compileCaller(local)
  const cases = seeds.map((seed) => ({ name: `seed ${seed}`, calls: randomCalls(seed, calls) }))

  const expected = await runCases(program, local, cases, { keep: true })
  const given = await runCases(program, drive.mountpoint, cases, { keep: true })

  for (const each of cases) {
    const difference = firstDifference(each.calls, expected.get(each.name), given.get(each.name))
    t.equal(expected.get(each.name)?.length, each.calls.length, `${each.name} ran`)
    t.equal(difference, undefined, `${each.name} gives the same`)
  }
  const faults = drive.server.messages.filter(({ kind }) => kind === 'fault')
  t.strictSame(faults, [], 'nothing went wrong unheard')
  const directories = cases.map((_, index) => `c${index}`)
  const kept = await Promise.all(directories.map((name) => tree(join(local, name))))
  const before = await Promise.all(directories.map((name) => tree(join(drive.mountpoint, name))))
  await drive.remount()
  const after = await Promise.all(directories.map((name) => tree(join(drive.mountpoint, name))))
  t.strictSame(before, kept, 'the same files are left')
  t.strictSame(after, kept, 'the same files are stored')
}

function firstDifference(
  calls: readonly string[],
  expected: readonly string[] = [],
  given: readonly string[] = [],
): string | undefined {
  const at = calls.findIndex((_, index) => expected[index] !== given[index])
  if (at < 0) return undefined
  const results = `local ${expected[at]?.slice(0, 200)}, drive ${given[at]?.slice(0, 200)}`
  return `call ${at}: ${calls[at]}: ${results}`
}

/** Every name below `directory` with what should be the same elsewhere, in order. */
async function tree(directory: string): Promise<string[]> {
  const names = (await readdir(directory, { recursive: true })).sort()
  return Promise.all(names.map((name) => describe(directory, name)))
}

async function describe(directory: string, name: string): Promise<string> {
  const path = join(directory, name)
  const { mode, uid, gid, size, mtimeMs } = await lstat(path)
  const what = `${name} ${mode.toString(8)} ${uid}:${gid}`
  if ((mode & 0o170000) === 0o040000) return what
  const time = mtimeMs < 1e11 ? mtimeMs : 'now'
  if ((mode & 0o170000) === 0o120000) return `${what} ${time} ${await readlink(path)}`
  const digest = createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
  return `${what} ${time} ${size} bytes ${digest}`
}
