/** Programs that meet signals while the service is slow to answer their calls on a drive. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import t from 'tap'
import {
  controlSandbox,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const run = promisify(execFile)
const slow = { latencyMs: 700 }

/** Calls of C, which are not made again as Python's own are, with a timer that meets each of them. */
const prelude = `
import ctypes, os, resource, signal, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
met = 0
def meet(*_):
    global met
    met += 1
def listen(number):
    signal.signal(number, meet)
    signal.siginterrupt(number, True)
def tick():
    listen(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
def still():
    signal.setitimer(signal.ITIMER_REAL, 0)
def call(name, *arguments):
    before = met
    result = getattr(libc, name)(*arguments)
    print(name, result if result < 0 else 'done', ctypes.get_errno() if result < 0 else '',
          'met' if met > before else '', flush=True)
    return result
`

t.test('signals and a slow service', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client, variables } = await startCliSandbox(t, '--control-port', '0')
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const directory = await temporaryMountpoint(t)
  const options = ['--attr-ttl', '0', '--locks', 'lease']
  const mounted = await runAbfs(['mount', 'abfs://data', directory, ...options], { env })
  t.equal(mounted.code, 0, mounted.stderr)
  t.teardown(async () => {
    await controlSandbox(variables, 'faults', { faults: [] })
    await run('sh', ['-c', `timeout 20 umount '${directory}' || umount -l '${directory}'`])
  })
  const python = (script: string) =>
    run('python3', ['-c', prelude + script, directory], { timeout: 60_000, killSignal: 'SIGKILL' })

  t.test('a signal that a program handles ends none of its calls', async (t) => {
    await controlSandbox(variables, 'latency', slow)

    const { stdout } = await python(`
tick()
call('mkdir', b'd', 0o755)
call('symlink', b'target', b'd/link')
call('readlink', b'd/link', ctypes.create_string_buffer(99), 99)
call('open', b'd/file', os.O_CREAT | os.O_RDWR, 0o644)
call('rename', b'd/link', b'd/moved')
call('access', b'd/nothing', 0)
call('unlink', b'd/moved')
call('unlink', b'd/file')
call('rmdir', b'd')
still()
`)
    await controlSandbox(variables, 'latency', {})

    const lines = stdout.trimEnd().split('\n')
    t.strictSame(
      lines.map((line) => line.replace(/ *(met)?$/, '')),
      [
        ...['mkdir done', 'symlink done', 'readlink done', 'open done', 'rename done'],
        ...['access -1 2', 'unlink done', 'unlink done', 'rmdir done'],
      ],
    )
    t.ok(lines.filter((line) => line.endsWith('met')).length > 5, stdout)
    t.equal((await runAbfs(['ls', 'abfs://data'], { env })).stdout, '')
  })

  t.test('who waits for a lock is interrupted by it', async (t) => {
    const { stdout } = await python(`
held, asking = (os.open('lock', os.O_CREAT | os.O_RDWR) for _ in range(2))
call('flock', held, 2)
tick()
call('flock', asking, 2)
still()
`)

    t.match(stdout, /^flock done.*\nflock -1 4 met\n$/)
  })

  t.test('a signal that kills ends a call that has met others before', async (t) => {
    const script = `
signal.signal(signal.SIGINT, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
tick()
listen(signal.SIGTERM)
print('asks', flush=True)
call('symlink', b'x', b'link')
`
    const killers = ['SIGKILL', 'SIGINT', 'SIGQUIT'] as const
    // In directories of their own: of two changes in one the kernel lets the other wait, unkillable.
    for (const killer of killers) await python(`os.mkdir('${killer}')`)
    const faults = [{ verb: 'PutBlob', effect: { kind: 'stall' } }]
    await controlSandbox(variables, 'faults', { faults })
    const ends = killers.map(async (killer) => {
      const argv = ['-c', prelude + script, `${directory}/${killer}`]
      const child = spawn('python3', argv, { stdio: ['ignore', 'pipe', 'ignore'] })
      t.teardown(() => child.kill('SIGKILL'))
      let output = ''
      child.stdout.on('data', (data: Buffer) => {
        output += data.toString()
      })
      const exit = once(child, 'exit')
      await until(() => output.includes('asks'))
      // Time for the call to begin and to be interrupted.
      await new Promise((resolve) => setTimeout(resolve, 1000))
      child.kill('SIGTERM')
      await new Promise((resolve) => setTimeout(resolve, 500))
      t.equal(output, 'asks\n', 'it still waits')
      child.kill(killer)
      const late = new Promise((resolve) => setTimeout(() => resolve('alive'), 20_000).unref())
      return Promise.race([exit, late])
    })

    t.strictSame(
      await Promise.all(ends),
      killers.map((killer) => [null, killer]),
    )
  })
})
