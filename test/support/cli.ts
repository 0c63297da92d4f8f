import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { sanitizerVariables } from './program.ts'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** Variables of a process. */
export type Variables = Readonly<Record<string, string>>

/** How a run of `abfs` ended. */
export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliOptions {
  readonly env?: Variables
  readonly input?: string | Uint8Array
  readonly cwd?: string
}

/** Why the command line cannot be tested; `false` when it was built. */
export function whyNoCli(): string | false {
  return existsSync(main) ? false : 'dist/ is missing: npm run build'
}

/** How the built `abfs` is run: two dashes keep Node from taking --env-file for its own option. */
export function cliCommand(argv: readonly string[]): [string, ...string[]] {
  return [process.execPath, '--', main, ...argv]
}

/** Starts the built `abfs`, with the variables given and no others but PATH. */
export function startAbfs(argv: readonly string[], options: CliOptions = {}): ChildProcess {
  const own = { PATH: process.env['PATH'] ?? '', HOME: tmpdir(), ...sanitizerVariables }
  const env = { ...own, ...options.env }
  const [node, ...rest] = cliCommand(argv)
  return spawn(node, rest, {
    env,
    cwd: options.cwd,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
}

/** What a process writes, as it comes. */
export function outputOf(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' }
  child.stdout?.on('data', (data: Buffer) => {
    output.stdout += data.toString()
  })
  child.stderr?.on('data', (data: Buffer) => {
    output.stderr += data.toString()
  })
  return output
}

/** Runs the built `abfs` to its end. */
export async function runAbfs(
  argv: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const child = startAbfs(argv, options)
  const output = outputOf(child)
  child.stdin?.end(options.input ?? '')
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, ...output }
}

/** Asserts a failure as users shall see it: the code, one line (and a hint), no stack. */
export function failsWith(
  t: Test,
  result: CliResult,
  expected: { readonly code: number; readonly line: RegExp },
): void {
  const lines = result.stderr.trimEnd().split('\n')
  const [line = '', hint, ...rest] = lines
  t.equal(result.code, expected.code, `exit code of: ${result.stderr}`)
  t.match(line, /^abfs: E[A-Z]+: /)
  t.match(line, expected.line)
  if (hint !== undefined) t.match(hint, /^hint: /)
  t.strictSame(rest, [], 'nothing after the hint')
  t.notMatch(result.stderr, /^\s+at .*:\d+:\d+\)?$/m)
}

/** `abfs sandbox` in a process of its own. */
export interface CliSandbox {
  readonly child: ChildProcess
  /** Everything it wrote to the environment file. */
  readonly variables: Variables
  /** What a client needs, without a secret of Azure's. */
  readonly client: Variables
  /** Ends it; resolves with its exit code. */
  end(): Promise<number | null>
}

const clientVariables = [
  'ABFS_ACCOUNT',
  'ABFS_BLOB_ENDPOINT',
  'ABFS_CA_FILE',
  'ABFS_CONNECTOR_URL',
  'ABFS_CONNECTOR_KEY_FILE',
]

/** Starts `abfs sandbox` with the container `data` and other flags; it ends with the test. */
export async function startCliSandbox(t: Test, ...flags: readonly string[]): Promise<CliSandbox> {
  const directory = await temporaryDirectory(t)
  const envFile = join(directory, 'sandbox.env')
  const child = startAbfs(['sandbox', '--env-file', envFile, '--container', 'data', ...flags])
  const output = outputOf(child)
  const end = async (): Promise<number | null> => {
    if (child.exitCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    return child.exitCode
  }
  t.teardown(end)
  await until(() => existsSync(envFile) || child.exitCode !== null)
  if (child.exitCode !== null) throw new Error(`the sandbox ended: ${output.stderr}`)
  const variables = parseVariables(readFileSync(envFile, 'utf8'))
  const client = Object.fromEntries(clientVariables.map((name) => [name, variables[name] ?? '']))
  return { child, variables, client, end }
}

/** A directory that is removed with the test. */
export async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-cli-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** Sets something of a sandbox in another process, which was started with `--control-port`. */
export async function controlSandbox(
  variables: Variables,
  what: string,
  body: object,
): Promise<void> {
  const url = new URL(what, variables['ABFS_SANDBOX_CONTROL_URL'])
  const authorization = `Bearer ${variables['ABFS_SANDBOX_CONTROL_SECRET']}`
  const headers = { authorization }
  const answer = await fetch(url, { method: 'PUT', headers, body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}`)
}

/** Waits for what another process does; rejects after a minute. */
export async function until(condition: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 60_000
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`still not: ${condition}`)
    await delay(20)
  }
}

function parseVariables(text: string): Variables {
  const pairs = text
    .trim()
    .split('\n')
    .map((line) => /^(\w+)='?(.*?)'?$/.exec(line) ?? [])
  return Object.fromEntries(pairs.map(([, name = '', value = '']) => [name, value]))
}
