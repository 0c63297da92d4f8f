// What reading costs before a drive has done anything, beside the drives: see README.md.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { abfsDrive, rcloneDrive, residentMiB } from './drive/contenders.mjs'
import { atEnd, detachBelow } from './endings.mjs'
import { childCpu, cpuOf, median, run } from './measure.mjs'
import { startLatentSandbox } from './server/latent-sandbox.mjs'

const HELP = `Usage: node bench/read-floor.mjs [flags]        needs root, rclone and curl; npm run build first

Reads four files of a sandbox over TLS one after the other and at once, by contenders in turns: curl, bare sockets
of Node, a mount that answers from memory and asks nobody, abfs mount, rclone mount. Medians.

  --runs N               of each (5)
  --size-mib N           of all files together (256)
  --latency-ms N         that the sandbox waits before each answer (0)
  --only TEXT            contenders whose name has TEXT
  --flag=FLAG            more of abfs mount; may be repeated`

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    'size-mib': { type: 'string', default: '256' },
    'latency-ms': { type: 'string', default: '0' },
    only: { type: 'string', default: '' },
    flag: { type: 'string', multiple: true, default: [] },
    help: { type: 'boolean', short: 'h' },
  },
})
if (flags.help) {
  console.log(HELP)
  process.exit()
}
const execute = promisify(execFile)
const partMiB = Number(flags['size-mib']) / 4
const parts = [0, 1, 2, 3].map((index) => `part-${index}`)
const worker = fileURLToPath(new URL('workers/read-floor.mjs', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'abfs-bench-'))
atEnd(() => {
  detachBelow(directory)
  rmSync(directory, { recursive: true, force: true })
})

/** A shell line that reads all parts, each by `read(part)`, at once or one after the other. */
function readAll(read, streams) {
  return streams === 1 ? parts.map(read).join('; ') : `${parts.map(read).join(' & ')} & wait`
}

function curl(server) {
  const read = (part) =>
    `curl -sf --cacert ${server.caFile} '${server.endpoint}/data/${part}?${server.signature}' -o /dev/null`
  return { name: 'curl', read: (streams) => execute('bash', ['-ec', readAll(read, streams)]) }
}

function sockets(server) {
  return {
    name: 'sockets',
    read: (streams) =>
      run(process.execPath, [worker, 'sockets', `${streams}`, ...parts], {
        env: { ABFS_BLOB_ENDPOINT: server.endpoint, BENCH_SAS: server.signature },
      }),
  }
}

function mounted(drive) {
  const read = (at) => (part) => `dd if=${at}/${part} of=/dev/null bs=1M status=none`
  return {
    name: drive.name,
    prepare: async () => {
      drive.forget()
      const mountpoint = await drive.mount()
      return { mountpoint, pid: drive.pid(mountpoint) }
    },
    read: (streams, { mountpoint }) => execute('bash', ['-ec', readAll(read(mountpoint), streams)]),
    finish: ({ mountpoint }) => drive.unmount(mountpoint),
  }
}

/** A mount whose files are zeros in one buffer. */
function memoryDrive() {
  const state = {}
  atEnd(() => state.child?.kill('SIGTERM'))
  return {
    name: 'memory mount',
    forget: () => undefined,
    async mount() {
      const mountpoint = mkdtempSync(join(directory, 'mnt-'))
      const args = [worker, 'mount', mountpoint, `${partMiB * 2 ** 20}`, ...parts]
      state.child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(state.child.stdout, 'data')
      return mountpoint
    },
    pid: () => state.child.pid,
    async unmount(mountpoint) {
      const closed = once(state.child, 'close')
      await run('umount', [mountpoint])
      await closed
    },
  }
}

async function measureOnce(server, contender, streams) {
  const context = await contender.prepare?.()
  try {
    const cpuNow = () => childCpu() + (context === undefined ? 0 : cpuOf(context.pid))
    const before = { ms: performance.now(), cpu: cpuNow(), server: cpuOf(server.pid) }
    await contender.read(streams, context)
    return {
      ms: performance.now() - before.ms,
      cpu: 1000 * (cpuNow() - before.cpu),
      server: 1000 * (cpuOf(server.pid) - before.server),
      residentMiB: residentMiB(context?.pid),
    }
  } finally {
    await contender.finish?.(context)
  }
}

function print(name, streams, samples) {
  const of = (field) => median(samples.map((sample) => sample[field])).toFixed(0)
  const cells = ['ms', 'cpu', 'server', 'residentMiB'].map((field) => of(field).padStart(9))
  console.log(`${name.padEnd(14)} ${String(streams).padStart(7)} ${cells.join(' ')}`)
}

async function measure(server, contenders) {
  console.log('reader         at once        ms    cpu ms server ms   RSS MiB')
  for (const streams of [1, 4]) {
    const samples = new Map(contenders.map((contender) => [contender, []]))
    for (let i = 0; i < Number(flags.runs); i++)
      for (const [contender, of] of samples) of.push(await measureOnce(server, contender, streams))
    for (const [contender, of] of samples) print(contender.name, streams, of)
  }
}

const server = await startLatentSandbox({ directory, latencyMs: Number(flags['latency-ms']) })
try {
  const source = join(directory, 'source')
  mkdirSync(source)
  for (const part of parts)
    await run('dd', ['if=/dev/urandom', `of=${join(source, part)}`, 'bs=1M', `count=${partMiB}`])
  await server.upload(source)
  const contenders = [
    curl(server),
    sockets(server),
    mounted(memoryDrive()),
    mounted(abfsDrive(server, { directory, flags: flags.flag })),
    mounted(abfsDrive(server, { directory, name: 'abfs cached', flags: flags.flag, cache: 'c' })),
    mounted(rcloneDrive(server, { directory, name: 'rclone off', mode: 'off' })),
    mounted(rcloneDrive(server, { directory, name: 'rclone full' })),
  ]
  await measure(
    server,
    contenders.filter(({ name }) => name.includes(flags.only)),
  )
} finally {
  await server.close()
}
