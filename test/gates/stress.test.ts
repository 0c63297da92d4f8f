/** stress-ng's file system stressors (Debian package `stress-ng`), each with its own verification. */
import t from 'tap'
import { isLongRun, runLong, whyNo } from '../support/program.ts'
import { startDrive } from '../support/temp-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts() || whyNo('stress-ng')
const seconds = isLongRun ? 60 : 1

/** Of the class `filesystem`: those that work on files below a directory. */
const stressors = [
  ...['access', 'chdir', 'chmod', 'chown', 'copy-file', 'dentry', 'dir', 'dirdeep', 'dirmany'],
  ...['dup', 'fallocate', 'fcntl', 'filename', 'flock', 'fpunch', 'fsize', 'fstat', 'getdent'],
  ...['hdd', 'io', 'iomix', 'lockf', 'lockofd', 'locka', 'mknod', 'open', 'rename', 'symlink'],
  ...['sync-file', 'touch', 'utime', 'xattr'],
]

/** How many of them a machine may be without: what is not run verifies nothing. */
const mayNotApply = 4

t.test('stress-ng verifies what it does on the drive', { skip, timeout: 0 }, async (t) => {
  const drive = await startDrive(t)
  const notApplied: string[] = []
  for (const stressor of stressors) {
    const args = [`--${stressor}`, '1', '--timeout', `${seconds}s`, '--verify', '--temp-path']
    const { status, output } = await runLong('stress-ng', [...args, drive.mountpoint])
    t.notMatch(output, /\bfail(ed|:)/i, stressor)
    // 0: all well; 3 and 4: the stressor does not apply to this machine.
    if (status === 3 || status === 4) notApplied.push(stressor)
    t.ok(
      [0, 3, 4].includes(status ?? -1),
      `${stressor} ended with ${status}: ${output.slice(-500)}`,
    )
  }
  t.comment(
    `${stressors.length - notApplied.length} ran; not here: ${notApplied.join(', ') || 'none'}`,
  )
  t.ok(notApplied.length <= mayNotApply, `not run: ${notApplied.join(', ')}`)
  t.equal(await shell(`ls -A ${drive.mountpoint}`), '', 'nothing is left')
})
