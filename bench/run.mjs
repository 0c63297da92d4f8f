// Compares abfs with rclone on one sandbox. See README.md for how a number is made.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import {
  ContainerClient,
  ContainerSASPermissions,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { lineCounter, measureRow, run } from './measure.mjs'

const { values: flags } = parseArgs({
  options: {
    'size-mib': { type: 'string', default: '1024' },
    blobs: { type: 'string', default: '20000' },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
    only: { type: 'string', default: '' },
    cold: { type: 'boolean', default: false },
  },
})
const sizeMiB = Number(flags['size-mib'])
const blobs = Number(flags.blobs)
const runs = Number(flags.runs)
const cli = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const worker = fileURLToPath(new URL('library-worker.mjs', import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'abfs-bench-'))
const source = join(existsSync('/dev/shm') ? '/dev/shm' : directory, `abfs-bench-${process.pid}`)
const accessLog = join(directory, 'access.log')

function abfs(args, options) {
  return run(process.execPath, ['--', cli, ...args], options)
}

async function startSandbox() {
  const envFile = join(directory, 'env')
  writeFileSync(accessLog, '')
  const args = ['sandbox', '--env-file', envFile, '--access-log', accessLog, '-c', 'bench']
  const child = spawn(process.execPath, ['--', cli, ...args], { stdio: 'ignore' })
  for (let i = 0; i < 300 && !existsSync(envFile); i++) await delay(100)
  if (!existsSync(envFile)) throw new Error('the sandbox did not start within 30 s')
  return { child, env: readEnvironment(envFile) }
}

function readEnvironment(file) {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf('=')
      return [line.slice(0, at), line.slice(at + 1).replace(/^'(.*)'$/, '$1')]
    }),
  )
}

function containerOf(env) {
  // The sandbox's authority is known only now, too late for NODE_EXTRA_CA_CERTS.
  const key = new StorageSharedKeyCredential(env.ABFS_ACCOUNT, env.AZURE_STORAGE_ACCOUNT_KEY)
  const tls = { tlsOptions: { ca: readFileSync(env.ABFS_CA_FILE) } }
  return new ContainerClient(`${env.ABFS_BLOB_ENDPOINT}/bench`, key, tls)
}

async function signedUrl(container) {
  return container.generateSasUrl({
    permissions: ContainerSASPermissions.parse('racwdl'),
    expiresOn: new Date(Date.now() + 6 * 3600_000),
    version: '2021-12-02',
  })
}

async function fillContainer(container) {
  const body = Buffer.from('x')
  for (let i = 0; i < blobs; i += 32) {
    const names = Array.from({ length: Math.min(32, blobs - i) }, (_, j) => `many/file-${i + j}`)
    await Promise.all(names.map((name) => container.getBlockBlobClient(name).upload(body, 1)))
  }
}

/** A drive of ours or of rclone's, mounted anew around each piece of work. */
function drive(mount, unmount, name, work) {
  return {
    name,
    async prepare() {
      const mountpoint = mkdtempSync(join(directory, 'mnt-'))
      await mount(mountpoint)
      return mountpoint
    },
    work,
    finish: (mountpoint) => unmount(mountpoint),
  }
}

function contendersOf(env, sasUrl) {
  const rcloneEnv = { ...env, RCLONE_CONFIG: join(directory, 'none.conf'), PATH: process.env.PATH }
  writeFileSync(rcloneEnv.RCLONE_CONFIG, '')
  rcloneEnv.RCLONE_AZUREBLOB_SAS_URL = sasUrl
  rcloneEnv.RCLONE_CA_CERT = env.ABFS_CA_FILE
  rcloneEnv.HOME = directory
  const ours = { ...env, PATH: process.env.PATH, HOME: directory, XDG_RUNTIME_DIR: directory }
  const rclone = (args) => run('rclone', args, { env: rcloneEnv })
  const library = (args) => run(process.execPath, [worker, ...args], { env: ours })
  const mountOurs = (mountpoint) => abfs(['mount', 'abfs://bench', mountpoint], { env: ours })
  const unmountOurs = (mountpoint) => abfs(['unmount', mountpoint], { env: ours })
  const mountRclone = (mountpoint) => rclone(['mount', '--daemon', ':azureblob:bench', mountpoint])
  const unmountRclone = (mountpoint) => run('umount', [mountpoint])
  const bothDrives = (work) => [
    drive(mountOurs, unmountOurs, 'abfs', work),
    drive(mountRclone, unmountRclone, 'rclone', work),
  ]
  return { rclone, library, ours, bothDrives }
}

function rowsOf({ rclone, library, ours, bothDrives }) {
  const size = `${sizeMiB} MiB`
  const abfsWorks = (name, work) => ({ name, work })
  return [
    {
      title: `library writes ${size}`,
      contenders: [
        abfsWorks('abfs', () => library(['write', 'abfs://bench/big', source])),
        abfsWorks('rclone', () =>
          rclone(['copyto', '--ignore-times', source, ':azureblob:bench/big-rclone']),
        ),
      ],
    },
    {
      title: `library reads ${size}`,
      contenders: [
        abfsWorks('abfs', () => library(['read', 'abfs://bench/big'])),
        abfsWorks('iterate', () => library(['iterate', 'abfs://bench/big'])),
        abfsWorks('rclone', () => rclone(['cat', ':azureblob:bench/big'])),
      ],
    },
    {
      title: `drive writes ${size}`,
      contenders: bothDrives((mountpoint) =>
        run('dd', [`if=${source}`, `of=${mountpoint}/big-drive`, 'bs=1M', 'conv=fsync']),
      ),
    },
    {
      title: `drive reads ${size}`,
      contenders: bothDrives((mountpoint) =>
        run('dd', [`if=${mountpoint}/big`, 'of=/dev/null', 'bs=1M']),
      ),
    },
    {
      title: `library lists ${blobs} blobs`,
      contenders: [
        abfsWorks('abfs', () => library(['list', 'abfs://bench/many'])),
        abfsWorks('abfs ls', () => abfs(['ls', 'abfs://bench/many'], { env: ours })),
        abfsWorks('rclone', () => rclone(['lsf', ':azureblob:bench/many'])),
      ],
    },
    {
      title: `drive lists ${blobs} blobs (ls -l)`,
      contenders: bothDrives((mountpoint) => run('ls', ['-l', `${mountpoint}/many`])),
    },
  ]
}

function printRow(title, results) {
  const rclone = results.find((result) => result.name === 'rclone')
  for (const { name, seconds, requests, clientCpu, serverCpu } of results) {
    const ratio =
      rclone === undefined || name === 'rclone' ? '' : (rclone.seconds / seconds).toFixed(2)
    console.log(
      [
        title.padEnd(36),
        name.padEnd(8),
        seconds.toFixed(2).padStart(8),
        String(requests).padStart(8),
        clientCpu.toFixed(2).padStart(8),
        serverCpu.toFixed(2).padStart(8),
        ratio.padStart(8),
      ].join(' '),
    )
  }
}

async function main() {
  if (spawnSync('rclone', ['version']).status !== 0)
    throw new Error('rclone is missing: apt-get install rclone')
  mkdirSync(directory, { recursive: true })
  await run('dd', ['if=/dev/urandom', `of=${source}`, 'bs=1M', `count=${sizeMiB}`])
  const { child, env } = await startSandbox()
  try {
    const container = containerOf(env)
    await fillContainer(container)
    const contenders = contendersOf(env, await signedUrl(container))
    console.log(
      [
        'work'.padEnd(36),
        'who'.padEnd(8),
        'seconds'.padStart(8),
        'requests'.padStart(8),
        'client'.padStart(8),
        'server'.padStart(8),
        'ratio'.padStart(8),
      ].join(' '),
    )
    const report = []
    const rows = rowsOf(contenders).filter(({ title }) => title.includes(flags.only))
    // Rows that read need the blob that the first row writes.
    if (flags.only !== '') await contenders.library(['write', 'abfs://bench/big', source])
    for (const { title, contenders: row } of rows) {
      const results = await measureRow(row, {
        runs,
        requests: lineCounter(accessLog),
        serverPid: child.pid,
        cold: flags.cold,
      })
      printRow(title, results)
      report.push({ title, results })
    }
    if (flags.json) writeFileSync(flags.json, `${JSON.stringify(report, undefined, 2)}\n`)
  } finally {
    child.kill('SIGTERM')
    await once(child, 'close')
    rmSync(directory, { recursive: true, force: true })
    rmSync(source, { force: true })
  }
}

await main()
