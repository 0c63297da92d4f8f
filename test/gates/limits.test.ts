/** A drive that may have little: 256 descriptors, and the memory of a container of 512 MiB. */
import { readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { outputOf, startAbfs, startCliSandbox, until, whyNoCli } from '../support/cli.ts'
import { isLongRun, runLong, whyNo } from '../support/program.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoCli() || whyNoMounts()

/** A drive of the built command over an account of its own, with these flags; its process and what it logs. */
async function startLimited(t: Test, ...flags: readonly string[]) {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const mountpoint = await temporaryMountpoint(t)
  const args = ['mount', 'abfs://data', mountpoint, '--foreground', ...flags]
  const daemon = startAbfs(args, { env: client })
  t.teardown(() => daemon.kill('SIGKILL'))
  const output = outputOf(daemon)
  await until(() => readFileSync('/proc/mounts', 'utf8').includes(` ${mountpoint} `))
  const end = async () => {
    const ended = new Promise((resolve) => daemon.on('close', resolve))
    daemon.kill('SIGTERM')
    t.equal(await ended, 0, output.stderr)
  }
  return { pid: daemon.pid ?? 0, mountpoint, end }
}

/** Holds all files open at once, to write and then to read; what it could not do counts as refused. */
const manyFiles = `
import errno, os, sys
there, count = sys.argv[1], int(sys.argv[2])
body = lambda i: bytes([i % 251]) * (90000 + i)
refused = 0
def at_once(mode, each):
    global refused
    opened = []
    for i in range(count):
        try: opened.append((i, open(f'{there}/{i}', mode, buffering=0)))
        except OSError as error:
            assert error.errno in (errno.EMFILE, errno.ENFILE), error
            refused += 1
    for i, file in opened: each(i, file)
    for i, file in opened: file.close()
def write(i, file): assert file.write(body(i)) == len(body(i))
def read(i, file): assert b''.join(iter(lambda: file.read(65536), b'')) == body(i), i
at_once('wb', write)
at_once('rb', read)
print(len(os.listdir(there)), refused)`

t.test(
  'with 256 descriptors a program holds 600 files open, to write and to read',
  { skip: skip || whyNo('python3') || whyNo('prlimit'), timeout: 0 },
  async (t) => {
    const cache = t.testdir({})
    const drive = await startLimited(t, '--cache-dir', cache)
    const limit = await runLong('prlimit', ['--pid', `${drive.pid}`, '--nofile=256:256'])
    t.equal(limit.status, 0, limit.output)
    const { output } = await runLong('python3', ['-c', manyFiles, drive.mountpoint, '600'])
    t.equal(output, '600 0\n')
    await drive.end()
  },
)

const MiB = 1024 * 1024
const streamMiB = isLongRun ? 512 : 48

/** Four streams write and then four read what was written; each compares sums. */
const streams = (directory: string) => `
cd '${directory}'
stream() {
  head -c ${streamMiB * MiB} /dev/urandom | tee f$1 | sha256sum > /tmp/limits-$$-$1
  sha256sum < f$1 | cmp - /tmp/limits-$$-$1
}
jobs=()
for i in 1 2 3 4; do stream $i & jobs+=($!); done
failed=0
for job in "\${jobs[@]}"; do wait $job || failed=1; done
rm -f /tmp/limits-$$-*
exit $failed`

t.test(
  'with the budget of a 512 MiB container four streams stay within it',
  { skip, timeout: 0 },
  async (t) => {
    const drive = await startLimited(t, '--memory-budget', '128M')
    const { status, output } = await runLong('bash', ['-c', streams(drive.mountpoint)])
    t.equal(status, 0, output)
    const text = readFileSync(`/proc/${drive.pid}/status`, 'utf8')
    const peakMiB = Math.round(Number(/VmHWM:\s+(\d+)/.exec(text)?.[1]) / 1024)
    t.comment(`4 times ${streamMiB} MiB: ${peakMiB} MiB resident at most`)
    t.ok(peakMiB < 512, `${peakMiB} MiB`)
    await drive.end()
  },
)
