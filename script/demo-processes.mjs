// The processes of script/demo: the local Azure, and clients with an environment of their own.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const root = new URL('..', import.meta.url).pathname
const main = join(root, 'dist/cli/main.js')

/** All that a client is told: where things are, and its own key at the connector. */
const clientVariables = [
  'ABFS_ACCOUNT',
  'ABFS_BLOB_ENDPOINT',
  'ABFS_CA_FILE',
  'ABFS_CONNECTOR_URL',
  'ABFS_CONNECTOR_KEY_FILE',
]
/** Variables of the sandbox that are secrets of Azure's: none may reach a client. */
const secretVariables = ['AZURE_CLIENT_SECRET', 'AZURE_STORAGE_ACCOUNT_KEY']

/** Starts `abfs sandbox` and resolves once it is ready. */
export async function startSandbox({ envFile, container, hns, signal }) {
  const argv = ['--', main, 'sandbox', '--env-file', envFile, '--container', container]
  if (hns) argv.push('--hns')
  // Its own group: Ctrl-C reaches the demo alone, which unmounts before it ends the sandbox.
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const output = collect(child)
  const ended = new Promise((resolve) => child.once('exit', resolve))
  while (!existsSync(envFile)) {
    if (child.exitCode !== null) throw new Error(`the sandbox did not start: ${output.text}`)
    await delay(100, undefined, { signal })
  }
  const variables = readVariables(envFile)
  return {
    variables,
    client: clientEnvironment(variables),
    close: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** `NAME=value` lines; a value may stand between single quotes. */
function readVariables(file) {
  const lines = readFileSync(file, 'utf8').trim().split('\n')
  const pairs = lines.map((line) => /^(\w+)='?(.*?)'?$/.exec(line) ?? [])
  return Object.fromEntries(pairs.map(([, name, value]) => [name, value]))
}

/** The environment of a client. Throws if anything in it is, or contains, a secret of Azure's. */
function clientEnvironment(variables) {
  const client = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/' }
  for (const name of clientVariables) client[name] = variables[name]
  const text = JSON.stringify(client) + readFileSync(client.ABFS_CONNECTOR_KEY_FILE, 'utf8')
  for (const name of secretVariables) {
    if (!variables[name] || text.includes(variables[name])) throw new Error(`${name} leaked`)
  }
  return client
}

/** Runs `abfs` as a client; resolves with its output, rejects with what it reported. */
export function abfs(argv, { env, signal }) {
  return runProgram(process.execPath, ['--', main, ...argv], { env, signal })
}

/** Runs a script of this folder as a client. */
export function runScript(name, argv, { env, signal }) {
  return runProgram(process.execPath, [join(root, 'script', name), ...argv], { env, signal })
}

/** Runs a program; rejects when it fails. */
export async function runProgram(program, argv, { env, signal }) {
  const child = spawn(program, argv, { env, signal, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = collect(child)
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code === 0) return output.text
  throw new Error(`${program} ${argv.slice(0, 3).join(' ')} … ended with ${code}: ${output.errors}`)
}

function collect(child) {
  const output = { text: '', errors: '' }
  child.stdout.on('data', (data) => {
    output.text += data
  })
  child.stderr.on('data', (data) => {
    output.errors += data
  })
  return output
}
