/** fio (Debian package `fio`) writes blocks that carry their own checksum, and verifies them after a remount. */
import t from 'tap'
import { isLongRun, runLong, whyNo } from '../support/program.ts'
import { startDrive } from '../support/temp-drive.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts() || whyNo('fio')
const size = isLongRun ? '512m' : '16m'

const jobs = [
  { name: 'sequential writes', args: ['--rw=write', '--bs=128k'] },
  { name: 'random writes', args: ['--rw=randwrite', '--bs=16k'] },
  { name: 'writes of four jobs at once', args: ['--rw=randwrite', '--bs=32k', '--numjobs=4'] },
  { name: 'writes of many sizes', args: ['--rw=randwrite', '--bssplit=4k/30:60k/40:132k/30'] },
]

for (const { name, args } of jobs) {
  t.test(`fio verifies after a remount what it wrote: ${name}`, { skip, timeout: 0 }, async (t) => {
    const drive = await startDrive(t, { blockBytes: 1024 * 1024 })
    const fio = (...more: string[]) =>
      runLong('fio', [
        ...['--name=job', `--directory=${drive.mountpoint}`, `--size=${size}`, '--verify=crc32c'],
        ...[
          '--verify_fatal=1',
          '--verify_state_save=0',
          '--randseed=7',
          '--end_fsync=1',
          ...args,
          ...more,
        ],
      ])
    const written = await fio('--do_verify=0')
    t.equal(written.status, 0, written.output.slice(-2000))
    await drive.remount()
    const verified = await fio('--verify_only=1')
    t.equal(verified.status, 0, verified.output.slice(-2000))
    t.notMatch(verified.output, /verify failed|err= ?[1-9]/)
  })
}
