import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { systemClock } from '../clock.ts'
import { makeDirectories } from '../make-directories.ts'

/*
 * Azurite's blob service as a child process. The child runs a few lines of ours that load Azurite's
 * own entry point: they end it, and remove the run directory, when the channel to this process
 * closes, which the kernel does however this process dies. Azurite picks the port (0) and prints it
 * once it listens.
 */

/** How to run Azurite. */
export interface AzuriteOptions {
  readonly accounts: readonly AzuriteAccount[]
  readonly certificateFile: string
  readonly privateKeyFile: string
  /** PEM of the certificate's authority: Azurite asks itself, over https, for a copy's SAS source. */
  readonly caFile: string
  /** Where blobs are kept; in memory when absent. */
  readonly directory?: string | undefined
  /** Gets one line per request: time, method, path without query, status. */
  readonly accessLogFile?: string | undefined
  /** The child's working directory; the child removes it if this process dies without `close`. */
  readonly runDirectory: string
}

/** An account of Azurite. */
export interface AzuriteAccount {
  readonly name: string
  /** Base64. */
  readonly key: string
}

/** A running blob service. */
export interface Azurite {
  readonly port: number
  readonly pid: number
  /** Rejects when the process ends without `close` having been called; never resolves. */
  readonly failed: Promise<never>
  /** Lets it write what it holds, then ends it. Never throws. */
  close(): Promise<void>
}

const host = '127.0.0.1'
const startTimeoutMs = 60_000
// Azurite writes its database on the way out, which takes seconds when it holds many blobs.
const closeTimeoutMs = 15_000
const stderrLinesKept = 20

const childProgram = `
const main = process.argv[1]
const runDirectory = process.cwd()
process.once('disconnect', () => {
  process.once('exit', () => require('node:fs').rmSync(runDirectory, { recursive: true, force: true }))
  setTimeout(() => process.exit(1), ${closeTimeoutMs}).unref()
  process.kill(process.pid, 'SIGTERM')
})
require(main)
`

/** Starts Azurite over https with OAuth; resolves once it listens. */
export async function startAzurite(options: AzuriteOptions): Promise<Azurite> {
  const main = resolveAzurite()
  if (options.directory !== undefined) await makeDirectories(options.directory)
  const child = spawn(
    process.execPath,
    ['--input-type=commonjs', '-e', childProgram, '--', main, ...azuriteArguments(options)],
    {
      cwd: options.runDirectory,
      env: {
        AZURITE_ACCOUNTS: options.accounts.map(({ name, key }) => `${name}:${key}`).join(';'),
        NODE_EXTRA_CA_CERTS: options.caFile,
      },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // Its own process group: Ctrl-C reaches this process alone, which may still have data to write.
      detached: true,
    },
  )
  return supervise(child, options.accessLogFile)
}

async function supervise(child: ChildProcess, accessLogFile?: string): Promise<Azurite> {
  const { stdout, stderr } = child
  if (stdout === null || stderr === null) throw new TypeError('expected pipes from the child')
  const lastWords = keepLastLines(stderr)
  if (accessLogFile !== undefined) keepAccessLog(stdout, accessLogFile)
  const ended = endOf(child)
  const failed = ended.then((how) => {
    throw new Error(`Azurite ended (${how})${lastWords()}`)
  })
  failed.catch(() => {})
  try {
    const port = await withTimeout(Promise.race([listeningPort(stdout), failed]))
    return { port, pid: child.pid ?? 0, failed, close: () => stop(child, ended) }
  } catch (error) {
    await stop(child, ended)
    throw error
  }
}

function azuriteArguments(options: AzuriteOptions): string[] {
  const persistence =
    options.directory === undefined ? ['--inMemoryPersistence'] : ['--location', options.directory]
  return [
    ...['--blobHost', host, '--blobPort', '0'],
    ...['--cert', options.certificateFile, '--key', options.privateKeyFile, '--oauth', 'basic'],
    // Clients send newer API versions than Azurite knows.
    '--skipApiVersionCheck',
    '--disableTelemetry',
    ...(options.accessLogFile === undefined ? ['--silent'] : []),
    ...persistence,
  ]
}

function resolveAzurite(): string {
  const require = createRequire(import.meta.url)
  try {
    return require.resolve('azurite/dist/src/blob/main.js')
  } catch (cause) {
    throw new Error(
      'The sandbox runs the npm package azurite, which is not installed: npm install azurite, or take --engine abfs',
      { cause },
    )
  }
}

/** Reads the port from the line that Azurite prints; keeps draining the stream afterwards. */
async function listeningPort(stdout: Readable): Promise<number> {
  return new Promise((resolve) => {
    createInterface({ input: stdout }).on('line', (line) => {
      const port = /successfully listens on https:\/\/[^ ]*:(\d+)$/.exec(line)?.[1]
      if (port !== undefined) resolve(Number(port))
    })
  })
}

/** Azurite prints a line per request in the common log format; queries may hold signatures. */
function keepAccessLog(stdout: Readable, file: string): void {
  const log = createWriteStream(file, { flags: 'a', mode: 0o600 })
  createInterface({ input: stdout })
    .on('line', (line) => {
      if (/"[A-Z]+ \//.test(line)) log.write(`${line.replace(/\?\S*/, '')}\n`)
    })
    .on('close', () => log.end())
}

function keepLastLines(stream: Readable): () => string {
  const lines: string[] = []
  createInterface({ input: stream }).on('line', (line) => {
    lines.push(line)
    if (lines.length > stderrLinesKept) lines.shift()
  })
  return () => (lines.length === 0 ? '' : `: ${lines.join('\n')}`)
}

async function endOf(child: ChildProcess): Promise<string> {
  try {
    const [code, signal] = await once(child, 'exit')
    return signal === null ? `exit code ${code}` : `signal ${signal}`
  } catch (error) {
    return `not started: ${String(error)}`
  }
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.connected) child.disconnect()
  const timer = new AbortController()
  const late = systemClock.sleep(closeTimeoutMs, timer.signal).then(
    () => child.kill('SIGKILL'),
    () => {},
  )
  await Promise.race([ended, late])
  timer.abort()
  await ended
}

async function withTimeout<T>(work: Promise<T>): Promise<T> {
  const timer = new AbortController()
  const late = systemClock.sleep(startTimeoutMs, timer.signal).then(() => {
    throw new Error(`Azurite did not listen within ${startTimeoutMs / 1000} s`)
  })
  late.catch(() => {})
  try {
    return await Promise.race([work, late])
  } finally {
    timer.abort()
  }
}
