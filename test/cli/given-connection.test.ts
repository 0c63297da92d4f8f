/** Drives whose mount(2) another process has called: it passes the descriptor of /dev/fuse. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'
import {
  cliCommand,
  failsWith,
  outputOf,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { shell, temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

/** Mounts with a descriptor of the number given, and becomes the program that serves it, which may not mount. */
const parent = `
import ctypes, os, sys
mountpoint, number, *argv = sys.argv[1:]
number = int(number)
device = os.open('/dev/fuse', os.O_RDWR)
os.dup2(device, number, inheritable=True)
if device != number: os.close(device)
options = f'fd={number},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions'
libc = ctypes.CDLL(None, use_errno=True)
if libc.mount(b'abfs', mountpoint.encode(), b'fuse', 6, options.encode()) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.set_inheritable(number, True)
unable = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin']
os.execvp(unable[0], unable + argv)
`

t.test('a connection that another process has mounted', { skip: whyNo() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  await runAbfs(['cp', '-', 'abfs://data/before'], { env, input: 'was there' })
  const start = async (number: number, ...flags: string[]) => {
    const directory = await temporaryMountpoint(t)
    const argv = cliCommand(['mount', 'abfs://data', `/dev/fd/${number}`, ...flags])
    const child = spawn('python3', ['-c', parent, directory, String(number), ...argv], {
      env: { PATH: process.env['PATH'] ?? '', HOME: '/tmp', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    return { directory, child, output: outputOf(child), exit: once(child, 'exit') }
  }

  t.test('is served in the foreground; SIGTERM stores what was written', async (t) => {
    const { directory, child, output, exit } = await start(9, '--foreground')
    await until(() => output.stderr.includes('mounted on') || child.exitCode !== null)

    t.match(output.stderr, `mounted on /proc/${child.pid}/fd/9`)
    t.equal(await shell(`timeout 20 cat '${directory}/before'`), 'was there')
    await shell(`echo closed > '${directory}/closed'`)
    const { stdout: status } = await runAbfs(['status', '--json'], { env })
    t.match(status, `"directory":"/proc/${child.pid}/fd/9"`)
    t.match(status, '"state":"serving"')
    const calls = await runAbfs(['stats', '--json', `/proc/${child.pid}/fd/9`], { env })
    t.equal(calls.code, 0, calls.stderr)
    const refused = await runAbfs(['unmount', `/proc/${child.pid}/fd/9`], { env })
    failsWith(t, refused, { code: 2, line: /EINVAL.*another process has mounted it/ })
    // A file that is open when the daemon is told to end.
    const writer = spawn('sh', [
      '-c',
      `exec 5> '${directory}/open'; echo open >&5; echo ready; read x`,
    ])
    t.teardown(() => writer.kill('SIGKILL'))
    await once(writer.stdout, 'data')
    child.kill('SIGTERM')

    t.strictSame(await exit, [0, null], output.stderr)
    for (const [name, content] of Object.entries({ open: 'open\n', closed: 'closed\n' })) {
      t.equal((await runAbfs(['cat', `abfs://data/${name}`], { env })).stdout, content)
    }
    t.ok(isMounted(directory), 'who mounted it unmounts it')
    t.match(await shell(`timeout 20 stat '${directory}' 2>&1 || true`), /not connected/)
  })

  t.test('is served in the background, until who mounted it unmounts it', async (t) => {
    const { directory, output, exit } = await start(5)

    t.strictSame(await exit, [0, null], output.stderr)
    const noted = async () => (await runAbfs(['status', '--json'], { env })).stdout
    const [, place = 'none'] = /"(\/proc\/\d+\/fd\/5)"/.exec(await noted()) ?? []
    await shell(`echo later > '${directory}/later' && timeout 20 umount '${directory}'`)
    t.equal((await runAbfs(['cat', 'abfs://data/later'], { env })).stdout, 'later\n')
    t.not(place, 'none')
    await until(() => !existsSync(place.replace(/\/fd.*/, '')))
    t.notMatch(await noted(), `"${place}"`)
  })

  t.test('must be one, and has its options already', async (t) => {
    const mount = (...argv: string[]) => runAbfs(['mount', 'abfs://data', ...argv], { env })

    failsWith(t, await mount('/dev/fd/77'), {
      code: 1,
      line: /EBADF.*fd=77.*mount '\/dev\/fd\/77'/,
    })
    failsWith(t, await mount('/dev/fd/77', '--foreground'), {
      code: 1,
      line: /EBADF.*started without it/,
    })
    failsWith(t, await mount('/dev/fd/1'), { code: 2, line: /EINVAL.*standard ones/ })
    for (const flags of [['--allow-other'], ['--non-empty'], ['--driver', 'native']]) {
      const { code, stderr } = await mount('/dev/fd/9', ...flags)
      t.equal(code, 2)
      t.match(stderr, `${flags[0]}`)
      t.match(stderr, 'leave')
    }
    const planned = await mount('/dev/fd/77', '--plan')
    t.equal(planned.code, 1)
    t.match(planned.stdout + planned.stderr, /\/dev\/fd\/77 cannot be used.*EBADF/)
  })
})

function whyNo(): string | false {
  return whyNoCli() || whyNoMounts()
}

function isMounted(directory: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `)
}
