import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** Why there can be no small disk here; `false` when there can. */
export function whyNoSmallDisk(): string | false {
  return process.getuid?.() === 0 ? false : 'a small disk is mounted as root'
}

/** The directory of a file system that holds `sizeBytes`, gone with the test. */
export function smallDisk(t: Pick<Test, 'teardown'>, sizeBytes: number): string {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-small-'))
  t.teardown(() => {
    execFileSync('umount', ['-l', directory])
    rmSync(directory, { recursive: true })
  })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=700`, 'tmpfs', directory])
  return directory
}
