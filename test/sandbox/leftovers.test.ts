import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, watch } from 'node:fs'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const program = fileURLToPath(new URL('../support/sandbox-process.ts', import.meta.url))

interface Running {
  readonly process: ChildProcess
  readonly runDirectory: string
  readonly pid: number
  readonly urls: readonly string[]
}

async function startInProcess(temporary: string, engine = 'azurite'): Promise<Running> {
  const child = spawn(process.execPath, [...process.execArgv, program, engine], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('{')) return { ...JSON.parse(line), process: child }
  }
  throw new Error('the sandbox did not start')
}

/** Resolves when nothing answers to the process id any more. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0)
    } catch {
      return
    }
    await turn()
  }
}

async function removed(path: string, parent: string): Promise<void> {
  const watcher = watch(parent)
  try {
    while (existsSync(path)) await once(watcher, 'change')
  } finally {
    watcher.close()
  }
}

// The loader of the TypeScript program has a directory there as well.
function sandboxDirectories(temporary: string): string[] {
  return readdirSync(temporary).filter((name) => name.startsWith('abfs-sandbox-'))
}

async function isListening(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

t.test('its files are private', async (t) => {
  const temporary = t.testdir()
  const running = await startInProcess(temporary)
  const modeOf = (file: string): number => statSync(`${running.runDirectory}/${file}`).mode & 0o777

  const directories = sandboxDirectories(temporary)
  const modes = readdirSync(running.runDirectory).map(modeOf)
  const directoryMode = modeOf('.')
  // Its directory is this test's to remove only when nobody uses it any more.
  running.process.kill()
  await once(running.process, 'exit')

  t.strictSame(directories.length, 1)
  t.equal(directoryMode, 0o700)
  t.ok(modes.length > 0)
  t.ok(modes.every((mode) => mode === 0o600))
})

const endings = [
  { engine: 'azurite', signal: 'SIGTERM' },
  { engine: 'azurite', signal: 'SIGKILL' },
  { engine: 'abfs', signal: 'SIGKILL' },
] as const

for (const { engine, signal } of endings) {
  t.test(`${signal} of its owner leaves no process, port or file of ${engine}`, async (t) => {
    const temporary = t.testdir()
    const running = await startInProcess(temporary, engine)
    t.strictSame(await Promise.all(running.urls.map(isListening)), [true, true, true])

    running.process.kill(signal)
    await once(running.process, 'exit')
    await removed(running.runDirectory, temporary)
    await gone(running.pid)

    t.strictSame(sandboxDirectories(temporary), [])
    t.strictSame(await Promise.all(running.urls.map(isListening)), [false, false, false])
  })
}

t.test('a sandbox that fails to start leaves no file', async (t) => {
  const temporary = t.testdir()
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = temporary
  t.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  const { startSandbox } = await import('../../src/sandbox/sandbox.ts')

  await t.rejects(startSandbox({ containers: ['Bad_Name'] }), { message: /'Bad_Name'/ })

  t.strictSame(sandboxDirectories(temporary), [])
})
