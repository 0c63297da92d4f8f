/** A drive under mixed load for long keeps its memory and its descriptors: 20 seconds, two hours with --long. */
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { outputOf, startAbfs, startCliSandbox, until, whyNoCli } from '../support/cli.ts'
import { isLongRun, runLong } from '../support/program.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const seconds = isLongRun ? 7200 : 20
const samplesOfRun = 30
const skip = whyNoCli() || whyNoMounts()

/** Four workers, each over a small set of names: write, read, append, rename, list, remove, git-like lock files. */
const load = `
worker() {
  mkdir -p w$1; cd w$1
  while [ $SECONDS -lt $LIMIT ]; do
    i=$(( (n += 1) % 25 ))
    head -c $(( (i * 7919) % 400000 )) /dev/urandom > new-$i
    cmp new-$i new-$i
    echo line >> log-$(( i % 5 ))
    mv new-$i file-$i
    cat file-$(( (i * 7) % 25 )) > /dev/null 2>&1 || true
    ls -l > /dev/null
    ( set -C; echo x > lock ) && rm lock
    [ $(( i % 5 )) -ne 0 ] || rm -rf d; mkdir -p d/e; cp file-$i d/e/copy
    [ $(( n % 100 )) -ne 0 ] || rm -f log-*
  done
}
for w in 1 2 3 4; do worker $w & done
wait`

interface Sample {
  readonly residentMiB: number
  readonly descriptors: number
}

t.test('mixed load leaves memory and descriptors flat', { skip, timeout: 0 }, async (t) => {
  const { client } = await startCliSandbox(t)
  const mountpoint = await temporaryMountpoint(t)
  const daemon = startAbfs(['mount', 'abfs://data', mountpoint, '--foreground'], { env: client })
  t.teardown(() => daemon.kill('SIGKILL'))
  const output = outputOf(daemon)
  await until(() => readFileSync('/proc/mounts', 'utf8').includes(` ${mountpoint} `))

  const samples: Sample[] = []
  for (let i = 0; i < samplesOfRun; i++) {
    const limit = `LIMIT=${Math.max(1, Math.round(seconds / samplesOfRun))}`
    const { status, output } = await runLong('bash', [
      '-c',
      `${limit}; cd '${mountpoint}'; ${load}`,
    ])
    t.equal(status, 0, output)
    samples.push(sampleOf(daemon.pid ?? 0))
  }

  const thirds = [0, 1, 2].map((third) => samples.slice(third * 10, third * 10 + 10))
  const [, before, after] = thirds.map((third) => median(third.map((each) => each.residentMiB)))
  t.ok((after ?? 0) <= (before ?? 0) * 1.15 + 32, `resident ${before} MiB, then ${after} MiB`)
  const most = thirds.map((third) => Math.max(...third.map((each) => each.descriptors)))
  t.ok((most[2] ?? 0) <= (most[1] ?? 0) + 8, `descriptors at most ${most.join(', ')}`)
  t.comment(
    `${seconds} s: ${before} MiB, then ${after} MiB; descriptors at most ${most.join(', ')}`,
  )

  const ended = new Promise((resolve) => daemon.on('close', resolve))
  daemon.kill('SIGTERM')
  t.equal(await ended, 0, output.stderr)
})

function sampleOf(pid: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const residentMiB = Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024)
  return { residentMiB, descriptors: readdirSync(`/proc/${pid}/fd`).length }
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
