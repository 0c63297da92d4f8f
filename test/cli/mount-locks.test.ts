import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { runAbfs, startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const run = promisify(execFile)
const shell = (script: string) =>
  run('bash', ['-ec', script], { timeout: 60_000 }).then(({ stdout }) => stdout)

t.test('locks of two drives', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t)
  const drive = async (...flags: string[]) => {
    // As two machines: nothing of one is known to the other.
    const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
    const directory = await temporaryMountpoint(t)
    const mounted = await runAbfs(['mount', 'abfs://data', directory, ...flags], { env })
    t.equal(mounted.code, 0, mounted.stderr)
    t.teardown(() => shell(`timeout 20 umount '${directory}' || umount -l '${directory}'`))
    return directory
  }

  const a = await drive('--locks', 'lease')
  await shell(`echo 0 > '${a}/counter'; echo one > '${a}/f'; echo x > '${a}/local'`)
  const b = await drive('--locks', 'lease')

  t.test('programs that count under flock(1) on both lose no number', async (t) => {
    const loop = `for i in 1 2 3; do
      exec 9<>"$0/counter"; timeout 50 flock 9; read -r n < "$0/counter"
      echo "$((n + 1))" > "$0/counter"; flock -u 9; exec 9>&-; done`

    await Promise.all([a, a, b].map((at) => run('bash', ['-ec', loop, at], { timeout: 60_000 })))

    const { stdout } = await runAbfs(['cat', 'abfs://data/counter'], { env: client })
    t.equal(stdout, '9\n')
  })

  t.test('what the kernel holds of a file is dropped when a lock shows it to be old', async (t) => {
    const script = `
import fcntl, os, sys
a = os.open(sys.argv[1] + '/f', os.O_RDWR); b = os.open(sys.argv[2] + '/f', os.O_RDWR)
print(os.pread(b, 9, 0))
fcntl.flock(a, fcntl.LOCK_EX)
try: fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError: print('locked')
os.pwrite(a, b'two!', 0); fcntl.flock(a, fcntl.LOCK_UN)
fcntl.flock(b, fcntl.LOCK_EX)
print(os.pread(b, 9, 0))
`
    const { stdout } = await run('python3', ['-c', script, a, b], { timeout: 60_000 })
    t.equal(stdout, "b'one\\n'\nlocked\nb'two!'\n")
  })

  t.test('by default a lock is for one machine', async () => {
    const [c, d] = await Promise.all([drive(), drive()])
    await shell(`exec 8<'${c}/local' 9<'${d}/local'
      flock 8; flock -n 9; exec 7<'${c}/local'; ! flock -n 7`)
  })

  t.test('leases are refused where they would promise too much', async (t) => {
    const at = join(await temporaryDirectory(t), 'nowhere')
    const told = async (...flags: string[]) =>
      (await runAbfs(['mount', 'abfs://data', at, ...flags], { env: client })).stderr
    t.match(await told('--locks', 'lease', '--write-back'), /leave out --write-back/)
    t.match(await told('--locks', 'lease', '--driver', 'fuse-native'), /needs the native driver/)
    t.match(await told('--locks', 'azure'), /--locks must be local or lease/)
  })
})
