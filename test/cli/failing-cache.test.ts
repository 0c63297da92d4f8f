/** The local disk of a drive begins to fail while the drive serves: programs notice nothing, the drive tells. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { runAbfs, startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { programVariables, whyNo } from '../support/program.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const run = promisify(execFile)
const shell = (script: string) =>
  run('bash', ['-ec', script], { timeout: 60_000, env: programVariables() }).then(({ stdout }) =>
    stdout.trim(),
  )

/** A way in which a disk fails, and how one comes by such a disk at the empty directory `place`. */
interface Failure {
  readonly name: string
  readonly skip?: string | false
  readonly make: (place: string) => string
  readonly fail: (place: string) => string
  /** What the log says of it. */
  readonly tells: RegExp
}

const failures: readonly Failure[] = [
  {
    name: 'its directory is replaced by a file',
    make: () => 'true',
    fail: (place) => `mv '${place}/blocks-1' '${place}/gone'; touch '${place}/blocks-1'`,
    tells: /ENOTDIR|EEXIST/,
  },
  {
    name: 'it is full',
    make: (place) => `mount -t tmpfs -o size=10m,mode=700 tmpfs '${place}'`,
    fail: (place) => `cat /dev/zero > '${place}/filler' 2>/dev/null || true`,
    tells: /ENOSPC/,
  },
  {
    name: 'it is read-only from one moment to the next',
    skip: whyNo('mkfs.ext4'),
    make: (place) => loopDisk(place),
    // What ext4 does by itself when its disk fails.
    fail: (place) =>
      `echo 1 > "/sys/fs/ext4/$(basename "$(findmnt -no SOURCE '${place}')")/trigger_fs_error"`,
    tells: /EROFS|EIO/,
  },
  {
    name: 'it reads nothing any more',
    skip: whyNo('mkfs.ext4'),
    make: (place) => loopDisk(place),
    // The disk loses its sectors, and the kernel what it has of its files in memory.
    fail: (place) => `sync -f '${place}'; truncate -s 0 '${place}.image'
      find '${place}/blocks-1' -name '*.data' -exec dd of={} oflag=nocache conv=notrunc count=0 status=none \\;`,
    tells: /EIO/,
  },
]

function loopDisk(place: string): string {
  return `truncate -s 30M '${place}.image'
    mkfs.ext4 -q -O ^has_journal '${place}.image'
    mount -o loop,errors=remount-ro '${place}.image' '${place}'
    rmdir '${place}/lost+found'; chmod 700 '${place}'`
}

const skip = whyNoCli() || whyNoMounts()

t.test('a disk cache that begins to fail is passed by', { skip }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  // Little memory, so that the disk is asked.
  const env = { ...client, XDG_STATE_HOME: state, ABFS_MEMORY_BUDGET: '4M' }
  const source = join(state, 'source')
  await shell(`head -c 6000000 /dev/urandom > '${source}'`)
  const { code, stderr } = await runAbfs(['cp', source, 'abfs://data/known'], { env })
  t.equal(code, 0, stderr)
  const sum = await sumOf(source)
  // The cases wait for processes most of the time.
  t.jobs = failures.length

  for (const [index, { name, skip = false, make, fail, tells }] of failures.entries()) {
    t.test(`because ${name}`, { skip, buffered: true }, async (t) => {
      const abfs = async (...argv: string[]) => {
        const result = await runAbfs(argv, { env })
        t.equal(result.code, 0, result.stderr)
        return result.stdout
      }
      const cache = await diskAt(t, make)
      const directory = await temporaryMountpoint(t)
      const log = join(state, `${index}.log`)
      await abfs('mount', 'abfs://data', directory, '--cache-dir', cache, '--log-file', log)
      t.equal(await sumOf(`${directory}/known`), sum)
      await shell(`cp '${source}' '${directory}/before-${index}'`)

      await shell(fail(cache))

      t.equal(await sumOf(`${directory}/known`), sum, 'what the disk had')
      t.equal(await sumOf(`${directory}/before-${index}`), sum, 'what it did not have')
      const written = `'${directory}/written-${index}'`
      await shell(`cat '${source}' '${source}' > ${written}
        printf edited | dd of=${written} bs=1 seek=9000000 conv=notrunc status=none`)
      const { diskCache } = JSON.parse(await abfs('stats', directory, '--json'))
      await abfs('unmount', directory)

      t.ok(diskCache.failureCount > 0, 'stats count the failures')
      t.match(readFileSync(log, 'utf8'), tells, 'the log says what it was')
      await shell(`cat '${source}' '${source}' > '${state}/${index}'
        printf edited | dd of='${state}/${index}' bs=1 seek=9000000 conv=notrunc status=none`)
      const stored = await runAbfs(
        ['cp', `abfs://data/written-${index}`, `${state}/stored-${index}`],
        { env },
      )
      t.equal(stored.code, 0, stored.stderr)
      t.equal(await sumOf(`${state}/stored-${index}`), await sumOf(`${state}/${index}`))
    })
  }
})

t.test('a disk cache that cannot be is told of when the drive is mounted', { skip }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: state }
  const cache = join(state, 'file')
  await shell(`touch '${cache}'`)
  const directory = await temporaryMountpoint(t)
  const where = ['abfs://data', directory, '--cache-dir', cache]

  const { code, stderr } = await runAbfs(['mount', ...where], { env })
  const plan = await runAbfs(['mount', ...where, '--non-empty', '--plan', '--json'], { env })
  await shell(`echo works > '${directory}/file'`)
  t.equal((await runAbfs(['unmount', directory], { env })).code, 0)

  t.equal(code, 0)
  t.match(stderr, /^abfs: what is read is not kept: --cache-dir cannot be used: ENOTDIR/)
  const cacheOf = JSON.parse(plan.stdout).findings.find(({ name }: Failure) => name === 'cache')
  t.match(cacheOf, { verdict: 'warned', detail: /is no directory, or may not be written/ })
})

/** Past the kernel's own cache where there is a drive. */
function sumOf(file: string): Promise<string> {
  const direct = file.includes('abfs-mount-') ? 'iflag=direct' : ''
  return shell(`dd if='${file}' bs=1M ${direct} status=none | sha256sum`)
}

async function diskAt(t: Test, make: Failure['make']): Promise<string> {
  const place = await temporaryMountpoint(t)
  t.teardown(() => shell(`umount -l '${place}' 2>/dev/null || true; rm -f '${place}.image'`))
  await shell(make(place))
  return place
}
