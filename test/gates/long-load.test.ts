/**
 * A drive under mixed load for long keeps its memory and its descriptors: 20 seconds, two hours with --long, or
 * ABFS_LOAD_MINUTES. The same under faults of the service, 10 seconds or 8 minutes: every call does what it should.
 */
import { readdirSync, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { controlSandbox, startCliSandbox, type Variables, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { isLongRun, runLong } from '../support/program.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

const minutes = Number(process.env['ABFS_LOAD_MINUTES'] || 120)
const seconds = isLongRun ? minutes * 60 : 20
const samplesOfRun = 30
const faultySeconds = isLongRun ? 8 * 60 : 10
/** One request is disturbed so often. */
const faultEveryMs = 150
const disturbances = [
  { effect: { kind: 'status', status: 503 } },
  { effect: { kind: 'status', status: 500 } },
  { effect: { kind: 'status', status: 429, retryAfterSeconds: 1 } },
  { effect: { kind: 'reset' } },
  { effect: { kind: 'reset' }, runsVerb: true },
  { effect: { kind: 'resetInBody' } },
  { effect: { kind: 'truncate' } },
]
/** What a short run can fill, so that what is measured behind it is what grows by itself. */
const memory = isLongRun ? [] : ['--memory-budget', '64M']
const skip = whyNoCli() || whyNoMounts()

/**
 * Four workers, each over a small set of names whose content $LOCAL keeps: write, read, append, rename, list,
 * remove, lock files as of git. The first that reads something else ends its worker, and so the test.
 */
const load = `
worker() {
  set -eu
  mkdir -p w$1; cd w$1
  n=0
  while [ $SECONDS -lt $LIMIT ]; do
    i=$(( (n += 1) % 25 )); earlier=$(( (i * 7) % 25 ))
    size=$(( i * 7919 )); [ $i -ne 12 ] || size=9000000
    head -c $size /dev/urandom > "$LOCAL/$1-$i"
    cp "$LOCAL/$1-$i" new-$i
    cmp "$LOCAL/$1-$i" new-$i
    echo line >> log-$(( i % 5 ))
    mv new-$i file-$i
    [ ! -e file-$earlier ] || cmp "$LOCAL/$1-$earlier" file-$earlier
    ls -l > /dev/null
    ( set -C; echo x > lock )
    rm lock
    [ $(( i % 5 )) -ne 0 ] || rm -rf d
    mkdir -p d/e; cp file-$i d/e/copy
    [ $(( n % 100 )) -ne 0 ] || rm -f log-*
  done
  echo "worker $1: $n rounds"
}
workers=()
for w in 1 2 3 4; do worker $w & workers+=($!); done
failed=0
for w in "\${workers[@]}"; do wait $w || failed=1; done
exit $failed`

/** 512 open segments of the disk cache at most, two each, 64 pieces that native code reads, and what else is open. */
const descriptorsOfCache = 2 * 512 + 64 + 64

interface Sample {
  readonly residentMiB: number
  readonly descriptors: number
}

t.test('mixed load leaves memory and descriptors flat', { skip, timeout: 0 }, async (t) => {
  // Azurite keeps what was overwritten, and stands still for minutes when it has gathered gigabytes.
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const { drive, ...places } = await startCached(t, client)
  const idle = sampleOf(drive.daemon.pid ?? 0)
  const samples: Sample[] = []
  let rounds = 0
  for (let i = 0; i < samplesOfRun; i++) {
    rounds += await runLoad(t, places, Math.max(1, Math.round(seconds / samplesOfRun)))
    const sample = sampleOf(drive.daemon.pid ?? 0)
    samples.push(sample)
    t.comment(`${i + 1}/${samplesOfRun}: ${inWords(sample)}`)
  }

  const thirds = [0, 1, 2].map((third) => samples.slice(third * 10, third * 10 + 10))
  const [, before, after] = thirds.map((third) => median(third.map((each) => each.residentMiB)))
  t.ok((after ?? 0) <= (before ?? 0) * 1.15 + 32, `resident ${before} MiB, then ${after} MiB`)
  const most = thirds.map((third) => Math.max(...third.map((each) => each.descriptors)))
  const allowed = Math.max((most[1] ?? 0) + 8, descriptorsOfCache)
  t.ok((most[2] ?? 0) <= allowed, `descriptors at most ${most.join(', ')}`)
  t.comment(
    `${seconds} s, ${rounds} rounds: ${inWords(idle)} when idle; median ${before} MiB, then ${after} MiB; descriptors at most ${most.join(', ')}`,
  )
  t.equal(await drive.end(), 0, drive.output.stderr)
})

for (const [account, flags] of [
  ['flat', []],
  ['hierarchical', ['--hns']],
] as const) {
  t.test(`faults fail no call of it on a ${account} account`, { skip, timeout: 0 }, async (t) => {
    const sandbox = ['--engine', 'abfs', '--control-port', '0', ...flags]
    const { client, variables } = await startCliSandbox(t, ...sandbox)
    const { drive, ...places } = await startCached(t, client)
    let count = 0
    const disturbing = setInterval(() => {
      const disturbance = disturbances[count++ % disturbances.length]
      const faults = [{ nth: 1 + (count % 5), count: 1, ...disturbance }]
      controlSandbox(variables, 'faults', { faults }).catch((error: Error) => t.fail(error.message))
    }, faultEveryMs)
    const rounds = await runLoad(t, places, faultySeconds)
    clearInterval(disturbing)

    t.comment(
      `${faultySeconds} s, ${rounds} rounds, ${count} faults: ${inWords(sampleOf(drive.daemon.pid ?? 0))}`,
    )
    t.ok(count > disturbances.length, 'each was there')
    t.equal(await drive.end(), 0, drive.output.stderr)
  })
}

interface Places {
  readonly mountpoint: string
  readonly local: string
}

/** A drive with a cache on the disk, and a place for what its files should be. */
async function startCached(t: Test, env: Variables) {
  const local = t.testdir({ cache: {} })
  const cache = ['--cache-dir', `${local}/cache`, '--cache-size', '32M', ...memory]
  const drive = await startDrive(t, cache, { env })
  return { drive, local, mountpoint: drive.directory }
}

/** Runs the load for so many seconds; how many rounds its workers made. */
async function runLoad(t: Test, { mountpoint, local }: Places, limit: number): Promise<number> {
  const settings = `LIMIT=${limit}; LOCAL='${local}'; cd '${mountpoint}'`
  const { status, output } = await runLong('bash', ['-c', `${settings}; ${load}`])
  t.equal(status, 0, output)
  return roundsIn(output)
}

function sampleOf(pid: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const residentMiB = Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024)
  return { residentMiB, descriptors: readdirSync(`/proc/${pid}/fd`).length }
}

function roundsIn(output: string): number {
  const ended = [...output.matchAll(/worker \d: (\d+) rounds/g)]
  return ended.reduce((sum, [, rounds]) => sum + Number(rounds), 0)
}

function inWords({ residentMiB, descriptors }: Sample): string {
  return `${residentMiB} MiB, ${descriptors} descriptors`
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
