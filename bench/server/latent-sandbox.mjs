import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  AccountSASPermissions,
  AccountSASResourceTypes,
  AccountSASServices,
  generateAccountSASQueryParameters,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { endWithUs } from '../endings.mjs'
import { run } from '../measure.mjs'

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** The sandbox on the engine `abfs`, over HTTPS, each request delayed by `latencyMs` once `fill` is done. */
export async function startLatentSandbox({ directory, latencyMs }) {
  const envFile = join(directory, 'sandbox.env')
  const args = [
    'sandbox',
    '--engine',
    'abfs',
    '--control-port',
    '0',
    '-c',
    'data',
    '--env-file',
    envFile,
  ]
  const child = endWithUs(spawn(process.execPath, ['--', cli, ...args], { stdio: 'ignore' }))
  for (let i = 0; i < 300 && !existsSync(envFile); i++) await delay(100)
  if (!existsSync(envFile)) throw new Error('the sandbox did not start within 30 s')
  const env = environmentIn(envFile)
  const control = (method, path, body) => callControl(env, { method, path, body })
  const abfs = (args) =>
    run(process.execPath, [cli, ...args], { env: { ...env, PATH: process.env.PATH } })
  const signature = signatureOf(env)
  return {
    pid: child.pid,
    account: env.ABFS_ACCOUNT,
    endpoint: env.ABFS_BLOB_ENDPOINT.replace(/\/$/, ''),
    caFile: env.ABFS_CA_FILE,
    signature,
    environment: env,
    reset: () => control('DELETE', 'ledger'),
    counts: async () => countsOf(await control('GET', 'ledger')),
    async fill({ prefix, count, size, per }) {
      await fillByCopies({ env, signature, prefix, count, size, per })
      await control('PUT', 'latency', { latencyMs })
    },
    /** Copies a local directory into the container, then delays what follows. */
    async upload(source) {
      await abfs(['cp', '-r', '--quiet', `${source}/`, 'abfs://data'])
      await control('PUT', 'latency', { latencyMs })
    },
    copy: (from, to) => abfs(['cp', '-r', '--quiet', `abfs://data/${from}`, `abfs://data/${to}`]),
    /** Resolves when each path was written by a request that succeeded since the last `reset`. */
    async waitForWrites(paths) {
      const missing = new Set(paths.map((path) => `/data/${path}`))
      for (let i = 0; i < 6000 && missing.size > 0; i++) {
        const { entries } = await control('GET', 'ledger')
        for (const entry of entries) if (isWrite(entry)) missing.delete(entry.path)
        if (missing.size > 0) await delay(10)
      }
      if (missing.size > 0) throw new Error(`never written: ${[...missing].join(', ')}`)
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGTERM')
      await once(child, 'close')
    },
  }
}

function isWrite({ verb, status }) {
  return (verb === 'PutBlob' || verb === 'PutBlockList') && status === 201
}

function environmentIn(file) {
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  const pairs = lines.map((line) => {
    const at = line.indexOf('=')
    return [line.slice(0, at), line.slice(at + 1).replace(/^'(.*)'$/, '$1')]
  })
  return Object.fromEntries(pairs)
}

function signatureOf(env) {
  const key = new StorageSharedKeyCredential(env.ABFS_ACCOUNT, env.AZURE_STORAGE_ACCOUNT_KEY)
  const values = {
    expiresOn: new Date(Date.now() + 6 * 3_600_000),
    permissions: AccountSASPermissions.parse('rwdxlactf'),
    services: AccountSASServices.parse('b').toString(),
    resourceTypes: AccountSASResourceTypes.parse('sco').toString(),
  }
  return generateAccountSASQueryParameters(values, key).toString()
}

async function callControl(env, { method, path, body }) {
  const answer = await fetch(`${env.ABFS_SANDBOX_CONTROL_URL}${path}`, {
    method,
    headers: { authorization: `Bearer ${env.ABFS_SANDBOX_CONTROL_SECRET}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  if (!answer.ok) throw new Error(`the control port answered ${answer.status} to ${path}`)
  return method === 'GET' ? answer.json() : undefined
}

/** The ledger's sums in the form of blob-server's. */
function countsOf({ counters }) {
  const verbs = Object.entries(counters)
  const sum = (field) => verbs.reduce((total, [, counted]) => total + counted[field], 0)
  const requests = Object.fromEntries(verbs.map(([verb, counted]) => [verb, counted.requests]))
  return { requests, bytesIn: sum('bytesIn'), bytesOut: sum('bytesOut') }
}

/** Writes the blobs by a worker that trusts the sandbox's authority from its start. */
async function fillByCopies({ env, signature, ...what }) {
  const worker = fileURLToPath(new URL('../workers/fill.mjs', import.meta.url))
  const childEnv = {
    PATH: process.env.PATH,
    ABFS_BLOB_ENDPOINT: env.ABFS_BLOB_ENDPOINT.replace(/\/$/, ''),
    BENCH_SAS: signature,
    NODE_EXTRA_CA_CERTS: env.ABFS_CA_FILE,
  }
  const child = spawn(process.execPath, [worker, JSON.stringify(what)], {
    env: childEnv,
    stdio: 'inherit',
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`filling the sandbox ended with ${code}`)
}
