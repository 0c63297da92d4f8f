import { type ChildProcess, execFile, fork, spawn } from 'node:child_process'
import { accessSync, chownSync, constants, mkdtempSync, rmSync } from 'node:fs'
import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import type { ServerMessage, ServerOptions } from './mount-server.ts'
import { programVariables, sanitizerVariables } from './program.ts'

/** Why mounts cannot be tested here; `false` when they can. */
export function whyNoMounts(): string | false {
  if (process.getuid?.() !== 0) return 'mounting is tested as root'
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK)
    return false
  } catch {
    return '/dev/fuse is missing or closed'
  }
}

/** tap notes each process in a directory, which has to be one where the user may write. */
function asUser(user: number) {
  const notes = mkdtempSync(join(tmpdir(), 'abfs-notes-'))
  chownSync(notes, user, user)
  process.once('exit', () => rmSync(notes, { recursive: true, force: true }))
  return { uid: user, gid: user, env: { ...process.env, _TAPJS_PROCESSINFO_CWD_: notes } }
}

/** How what serves a mount is run. */
export interface ServerProcess {
  /** The script, beside this one. */
  readonly name?: string
  /** In a pid namespace of its own: it sees nobody who calls it. */
  readonly ownProcesses?: boolean
}

/** A process that serves a mount, and what it said. */
export class MountServer {
  readonly child: ChildProcess
  readonly messages: ServerMessage[] = []
  readonly #waiting = new Set<() => void>()

  constructor(options: object, user?: number, { name, ownProcesses }: ServerProcess = {}) {
    const script = fileURLToPath(new URL(name ?? 'mount-server.ts', import.meta.url))
    // The loader of TypeScript alone: the others write where another user may not.
    const loader = process.execArgv.filter((argument) => argument.includes('typescript'))
    this.child = fork(script, [JSON.stringify(options)], {
      execArgv: loader,
      ...(ownProcesses === true && {
        execPath: 'unshare',
        execArgv: ['--pid', '--fork', '--kill-child', process.execPath, ...loader],
      }),
      ...(user === undefined ? {} : asUser(user)),
    })
    this.child.on('message', (message: ServerMessage) => {
      this.messages.push(message)
      this.#wake()
    })
    this.child.on('exit', () => this.#wake())
  }

  get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** The first message of `kind`; rejects when the process ends without one. */
  async said<Kind extends ServerMessage['kind']>(
    kind: Kind,
  ): Promise<Extract<ServerMessage, { readonly kind: Kind }>> {
    for (;;) {
      const found = this.messages.find((message) => message.kind === kind)
      if (found !== undefined) return found as Extract<ServerMessage, { readonly kind: Kind }>
      if (this.ended) throw new Error(`no '${kind}' in ${JSON.stringify(this.messages)}`)
      await this.#change()
    }
  }

  async exit(): Promise<number | null> {
    while (!this.ended) await this.#change()
    return this.child.exitCode
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.add(resolve))
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}

/** An empty directory, whose mount is taken away when the test ends. */
export async function temporaryMountpoint(t: Test): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'abfs-mount-')))
  t.teardown(async () => {
    await shell(`umount -l '${directory}' 2>&1 || true`)
    await rm(directory, { recursive: true, force: true })
  })
  return directory
}

/** Starts a server and awaits its mount; it is killed when the test ends. */
export async function startMount(
  t: Test,
  options: Partial<ServerOptions> = {},
  how: ServerProcess = {},
): Promise<{ readonly server: MountServer; readonly mountpoint: string }> {
  const mountpoint = options.mountpoint ?? (await temporaryMountpoint(t))
  const server = new MountServer({ source: 'abfs://test', ...options, mountpoint }, undefined, how)
  t.teardown(() => server.child.kill('SIGKILL'))
  await server.said('mounted')
  return { server, mountpoint }
}

/** A sanitizer makes what serves the mount many times slower. */
const shellTimeoutMs = 'LD_PRELOAD' in sanitizerVariables ? 240_000 : 120_000

/** What a shell command printed, both outputs; it is killed after two minutes. Touches mounts safely. */
export async function shell(command: string, user?: number): Promise<string> {
  const owner = user === undefined ? {} : { uid: user, gid: user }
  const env = programVariables()
  const options = { timeout: shellTimeoutMs, killSignal: 'SIGKILL', env, ...owner } as const
  try {
    return (await promisify(execFile)('sh', ['-c', `exec 2>&1; ${command}`], options)).stdout
  } catch (error) {
    const { stdout, code } = error as { stdout: string; code: unknown }
    return `${stdout}exit ${code}\n`
  }
}

/** The shell command after which the kernel holds no page of `files`. */
export function dropPages(files: string): string {
  const script =
    'import os, sys\nfor name in sys.argv[1:]: os.posix_fadvise(os.open(name, os.O_RDONLY), 0, 0, os.POSIX_FADV_DONTNEED)'
  return `python3 -c '${script}' ${files}`
}

/** Starts a command that goes on by itself; it is killed when the test ends. */
export function background(t: Test, command: string): ChildProcess {
  const child = spawn('sh', ['-c', `exec ${command}`], {
    stdio: 'ignore',
    env: programVariables(),
  })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** Awaits that the process, or its child, has a file of the mount open. */
export async function untilOpen(pid: number | undefined, mountpoint: string): Promise<void> {
  const script =
    `i=0; while [ $i -lt 500 ]; do i=$((i+1)); ` +
    `ls -l /proc/${pid}/fd 2>/dev/null | grep -q ${mountpoint}/ && exit 0; sleep 0.01; done; exit 1`
  const output = await shell(script)
  if (output !== '') throw new Error(`process ${pid} opened nothing: ${output}`)
}
