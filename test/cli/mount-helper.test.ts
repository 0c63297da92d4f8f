import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { lstat, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Pod } from 'kubernetes-models/v1'
import t from 'tap'
import { parse } from 'yaml'
import { helperRequest, mountExitCode } from '../../src/cli/drive/mount-options.ts'
import {
  outputOf,
  runAbfs,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const run = promisify(execFile)
const place = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const has = (program: string) =>
  run('sh', ['-c', `command -v ${program}`]).then(
    () => true,
    () => false,
  )
const isMounted = (directory: string) =>
  readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `)

t.test('options of mount(8) become flags of abfs mount', async (t) => {
  const flags = (options: string) => helperRequest(['abfs://c', '/mnt', '-o', options]).argv
  const places = ['abfs://c', '/mnt']

  t.strictSame(flags('rw,_netdev,nofail,x-systemd.automount,comment=x,noatime'), [
    'mount',
    ...places,
  ])
  t.strictSame(flags('ro,allow_other,uid=7'), [
    'mount',
    '--read-only',
    '--allow-other',
    '--uid=7',
    ...places,
  ])
  t.strictSame(flags('account=a,connector-url=http://h/?x=y'), [
    'mount',
    '--account=a',
    '--connector-url=http://h/?x=y',
    ...places,
  ])
  t.strictSame(flags('defaults,--config-file=/f.yaml,--allow-other'), [
    'mount',
    '--config-file=/f.yaml',
    '--allow-other',
    ...places,
  ])
  t.strictSame(flags('umask=027'), ['mount', '--file-mode=640', '--dir-mode=750', ...places])
  const plain = helperRequest(['abfs://c', '/mnt', '-v', '-n', '-t', 'abfs'])
  t.match(plain, { isFake: false, argv: ['mount', ...places], after: [] })
  t.ok(helperRequest(['abfs://c', '/mnt', '-f']).isFake)
  t.ok(helperRequest(['abfs://c', '/mnt', '-sf']).isFake)
  const { argv, after } = helperRequest(['abfs://c', '/mnt', '-o', 'user,noexec,ro'])
  t.strictSame(argv, ['mount', '--read-only', ...places])
  t.equal(after.join(' '), 'mount -i -o remount,bind,nosuid,nodev,noexec,ro /mnt')
})

t.test('what is no option of a mount is refused, without the value', async (t) => {
  t.equal(helperRequest(['abfs://c', '/mnt', '-o', 'ro,foreground']).refused, 'foreground')
  t.equal(helperRequest(['abfs://c', '/mnt', '-o', '--foreground']).refused, 'foreground')
  t.equal(helperRequest(['abfs://c', '/mnt', '-o', 'ro']).refused, undefined)
  const helper = place('dist/cli/mount-helper.js')
  const argv = ['--', helper, 'abfs://c', '/mnt', '-o', 'plan=s3cret']
  const error = await run(process.execPath, argv).catch((error) => error)
  t.match(error, { code: 1, stderr: /-o plan is no option of a mount/ })
  t.notMatch(error.stderr, /s3cret/)
})

t.test('exit codes are those of mount(8)', async (t) => {
  t.strictSame([0, undefined, 2, 130, 3, 5].map(mountExitCode), [0, 0, 1, 8, 32, 32])
})

t.test('a pod with a drive is what Kubernetes takes', async (t) => {
  const pod = new Pod(parse(readFileSync(place('deploy/kubernetes/drive-pod.yaml'), 'utf8')))
  const [drive] = pod.spec?.initContainers ?? []

  t.doesNotThrow(() => pod.validate())
  const { code, stderr } = await runAbfs([...(drive?.args ?? []), '--help'])
  t.equal(code, 0, stderr)
  t.match(drive?.volumeMounts, [{ mountPropagation: 'Bidirectional' }, {}])
})

const noUnits = (await has('systemd-analyze')) ? false : 'systemd-analyze is not installed'
t.test('the unit is what systemd takes', { skip: noUnits }, async (t) => {
  const directory = await temporaryDirectory(t)
  const unit = join(directory, 'abfs@data.service')
  const text = readFileSync(place('deploy/systemd/abfs@.service'), 'utf8')
  await writeFile(unit, text.replace('/usr/bin/abfs', '/bin/true'))

  const { stderr } = await run('systemd-analyze', ['verify', '--man=no', unit]).catch(
    (error) => error,
  )

  t.notMatch(stderr, /abfs@data\.service:/)
})

const noMounts = whyNoCli() || whyNoMounts()
t.test('a drive by mount(8) and by a service manager', { skip: noMounts }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const env = { ...process.env, ...client, XDG_STATE_HOME: await temporaryDirectory(t) }

  const helper = '/sbin/mount.abfs'
  const taken = await lstat(helper).then(
    () => `${helper} is somebody's`,
    () => false,
  )
  t.test('a line of fstab is mounted with `mount DIRECTORY`', { skip: taken }, async (t) => {
    await symlink(place('dist/cli/mount-helper.js'), helper)
    t.teardown(() => rm(helper))
    const directory = await temporaryMountpoint(t)
    const fstab = join(await temporaryDirectory(t), 'fstab')
    const options = `rw,_netdev,nofail,x-systemd.automount,dir_mode=750,account=${client['ABFS_ACCOUNT']}`
    await writeFile(fstab, `abfs://data ${directory} abfs ${options} 0 0\n`)

    await run('mount', ['-T', fstab, directory], { env, timeout: 30_000 })

    t.ok(isMounted(directory))
    t.equal((await run('stat', ['-c', '%a', directory])).stdout.trim(), '750')
    await run('umount', [directory], { timeout: 30_000 })
    t.notOk(isMounted(directory))
    await writeFile(fstab, `abfs://missing ${directory} abfs ${options} 0 0\n`)
    await t.rejects(run('mount', ['-T', fstab, directory], { env }), {
      code: 32,
      stderr: /the container does not exist/,
    })
  })

  const noNotify =
    (await has('systemd-notify')) && (await has('python3')) ? false : 'no systemd-notify'
  t.test(
    'a unit of type notify is told when the drive serves, and stops it by one signal',
    { skip: noNotify },
    async (t) => {
      const socket = join(await temporaryDirectory(t), 'notify')
      const listen = `import socket,sys
s=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM); s.bind(sys.argv[1]); print('bound',flush=True)
while True: print(s.recv(4096).decode(),flush=True)`
      const manager = execFile('python3', ['-c', listen, socket])
      t.teardown(() => manager.kill())
      const told = outputOf(manager)
      await until(() => told.stdout.includes('bound'))
      const directory = await temporaryMountpoint(t)

      const service = startAbfs(['mount', '--foreground', 'abfs://data', directory], {
        env: { ...client, NOTIFY_SOCKET: socket },
      })
      await until(() => told.stdout.includes('READY=1'))

      t.ok(isMounted(directory))
      t.ok(told.stdout.includes(`STATUS=serving ${directory}`), told.stdout)
      const write = `exec 3> ${directory}/open; echo opened; read line; echo $line >&3`
      const user = spawn('sh', ['-c', write])
      const said = outputOf(user)
      await until(() => said.stdout.includes('opened'))
      const ended = once(service, 'exit')
      service.kill('SIGTERM')
      await until(() => !isMounted(directory))
      await until(() => told.stdout.includes('STOPPING=1'))
      user.stdin?.end('late\n')
      t.strictSame(await ended, [0, null])
      const { stdout } = await runAbfs(['cat', 'abfs://data/open'], { env: client })
      t.equal(stdout, 'late\n', 'what was open is stored')
    },
  )
})
