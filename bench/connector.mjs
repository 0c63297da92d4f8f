// What a connector's credentials cost, side by side in one run: from the client's memory (beside MSAL's
// cached call), from a warm and from a cold server, from an agent. Needs a build.
// `node bench/connector.mjs [--seconds 5] [--connections 16]` prints one JSON object.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ClientSecretCredential } from '@azure/identity'
import { connectorYaml } from '../dist/cli/sandbox/connector-yaml.js'
import { systemClock } from '../dist/clock.js'
import { generateCallerKey } from '../dist/connector/authenticate.js'
import { CachedCredentialProvider } from '../dist/credential/cached-provider.js'
import { sasCredential } from '../dist/credential/credential.js'
import { startSandbox } from '../dist/sandbox/sandbox.js'
import { cpuSeconds, load, loadApart } from './connector-load.mjs'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    connections: { type: 'string', default: '16' },
  },
})
const seconds = Number(values.seconds)
const connections = Number(values.connections)
const main = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const directory = await mkdtemp(join(tmpdir(), 'abfs-bench-'))
const sandbox = await startSandbox({ containers: ['data'], controlPort: 0 })
const caller = generateCallerKey()
const children = []
try {
  const result = { client: await clientCache(), server: await server(), agent: await agent() }
  console.log(JSON.stringify(result, undefined, 2))
} finally {
  for (const child of children.filter(({ exitCode }) => exitCode === null)) {
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  await sandbox.close()
  await rm(directory, { recursive: true, force: true })
}

/** Microseconds per call that is answered from memory. */
async function clientCache() {
  const { account, tenantId, clientId, clientSecret, authorityHost, caPem } = sandbox
  const scope = { account, service: 'blob', container: 'data', permissions: ['read', 'list'] }
  const issued = sasCredential('sv=x&sig=y', Date.now() + 3_600_000)
  const provider = new CachedCredentialProvider(
    { getCredential: async () => issued },
    { clock: systemClock },
  )
  const msal = new ClientSecretCredential(tenantId, clientId, clientSecret, {
    authorityHost: authorityHost.href,
    disableInstanceDiscovery: true,
    tlsOptions: { ca: [caPem] },
  })
  const awaited = await microseconds(200_000, () => provider.getCredential(scope))
  const ours = microsecondsAtOnce(2_000_000, () => provider.peek(scope))
  const theirs = await microseconds(5_000, () =>
    msal.getToken('https://storage.azure.com/.default'),
  )
  const ratio = Math.round(theirs / ours)
  return { abfsMicroseconds: ours, awaitedMicroseconds: awaited, msalMicroseconds: theirs, ratio }
}

/** As `authorize` looks: without waiting. */
function microsecondsAtOnce(calls, call) {
  for (let turn = 0; turn < calls / 10; turn += 1) call()
  let found = 0
  const beganMs = performance.now()
  for (let turn = 0; turn < calls; turn += 1) found += call().expiresAtMs === 0 ? 0 : 1
  const tookMs = performance.now() - beganMs
  if (found !== calls) throw new Error(`${calls - found} calls found nothing`)
  return Number(((tookMs * 1000) / calls).toFixed(3))
}

async function microseconds(calls, call) {
  for (let turn = 0; turn < calls / 10; turn += 1) await call()
  const beganMs = performance.now()
  for (let turn = 0; turn < calls; turn += 1) await call()
  return Number((((performance.now() - beganMs) * 1000) / calls).toFixed(3))
}

/** Start, the first credential, then as many as it gives, then half of that. */
async function server() {
  const beganMs = performance.now()
  const { child, url } = await serve()
  const startMs = Math.round(performance.now() - beganMs)
  const target = vendTarget(url)
  await forget()
  const coldBeganMs = performance.now()
  await load(target, { requests: 1, connections: 1 })
  const coldMs = Number((performance.now() - coldBeganMs).toFixed(1))
  const coldUpstream = await upstreamRequests()
  await load(target, { seconds: 2, connections })
  await forget()
  const cpuBefore = cpuSeconds(child.pid)
  await pauses(child)
  const full = await loadApart('load', target, { seconds, connections })
  const perCpuSecond = Math.round(full.answers / (cpuSeconds(child.pid) - cpuBefore))
  const fullPauses = await pauses(child)
  const perSecond = full.answersPerSecond / 2
  const half = await loadApart('openLoad', target, { seconds, perSecond })
  const halfPauses = await pauses(child)
  const warmUpstream = await upstreamRequests()
  const rssMiB = Math.round(
    residentKiB(await readFile(`/proc/${child.pid}/status`, 'latin1')) / 1024,
  )
  const cold = { startMs, coldMs, coldUpstream }
  return { ...cold, full, fullPauses, perCpuSecond, half, halfPauses, warmUpstream, rssMiB }
}

/** How long the server stood still since it was last asked. */
async function pauses(child) {
  child.send('pauses')
  const [{ kind: _, ...told }] = await once(child, 'message')
  return told
}

async function serve() {
  const place = (name) => join(directory, name)
  await writeFile(place('secret'), sandbox.clientSecret, { mode: 0o600 })
  const { keySha256 } = caller
  const options = { keySha256, secretFile: place('secret'), auditFile: place('audit.jsonl') }
  const yaml = connectorYaml(sandbox, options)
  const unlimited = yaml.replace(/requestsPerMinute: \d+/, 'requestsPerMinute: 1000000000')
  await writeFile(place('connector.yaml'), unlimited)
  const watch = fileURLToPath(new URL('server-pauses.mjs', import.meta.url))
  const argv = ['--import', watch, main, 'connector', 'serve', '--config', place('connector.yaml')]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'inherit', 'ignore', 'ipc'] })
  children.push(child)
  const [{ url }] = await once(child, 'message')
  return { child, url: new URL('/v1/credentials', url) }
}

function vendTarget(url) {
  const { account } = sandbox
  const scope = { account, service: 'blob', container: 'data', permissions: ['read', 'list'] }
  const body = JSON.stringify({ scope, kind: 'sas' })
  const headers = { authorization: `Bearer ${caller.key}`, 'content-type': 'application/json' }
  return { url, method: 'POST', headers, body }
}

/** What the accounts of the sandbox were asked. */
async function upstreamRequests() {
  const { entries } = await control('GET')
  return entries.length
}

async function forget() {
  await control('DELETE')
}

async function control(method) {
  const { ABFS_SANDBOX_CONTROL_URL: url, ABFS_SANDBOX_CONTROL_SECRET: secret } =
    sandbox.environment()
  const headers = { authorization: `Bearer ${secret}` }
  const response = await fetch(new URL('ledger', url), { method, headers })
  const text = await response.text()
  if (!response.ok) throw new Error(`ledger: ${response.status} ${text}`)
  return text === '' ? {} : JSON.parse(text)
}

function residentKiB(status) {
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1])
}

/** The agent's own benchmark, in the same run. */
async function agent() {
  const script = fileURLToPath(new URL('agent.mjs', import.meta.url))
  const argv = [script, '--seconds', String(seconds), '--connections', String(connections)]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  let text = ''
  for await (const data of child.stdout) text += data
  await delay(0)
  return JSON.parse(text)
}
