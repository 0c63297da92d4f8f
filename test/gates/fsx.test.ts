/**
 * fsx, the file system exerciser (crate `fsx`): random reads, writes, maps, truncations, holes and copies
 * of one file, each read compared with what must be there.
 */
import { writeFile } from 'node:fs/promises'
import t from 'tap'
import { isLongRun, runLong, whyNo } from '../support/program.ts'
import { startDrive, temporaryDirectory } from '../support/temp-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts() || whyNo('fsx')
const operations = isLongRun ? 200_000 : 2000
const seeds = isLongRun ? [1, 2, 3, 4, 5] : [1]
const MiB = 1024 * 1024

/** What the drive is started with: large and small blocks, with a memory so small that all is evicted. */
const drives = [
  { name: 'blocks of 8 MiB', options: {} },
  {
    name: 'blocks of 64 KiB in little memory',
    options: { blockBytes: 65_536, spoolMemoryBytes: 65_536 },
  },
]

const settings = `flen = ${2 * MiB}
[opsize]
max = 131072
[weights]
close_open = 2
invalidate = 1
mapread = 10
mapwrite = 10
read = 10
write = 10
truncate = 5
fsync = 1
fdatasync = 1
posix_fallocate = 2
punch_hole = 5
copy_file_range = 5
`

for (const { name, options } of drives) {
  for (const seed of seeds) {
    t.test(`fsx finds nothing wrong: ${name}, seed ${seed}`, { skip, timeout: 0 }, async (t) => {
      const local = await temporaryDirectory(t)
      await writeFile(`${local}/fsx.toml`, settings)
      const drive = await startDrive(t, options)
      const file = `${drive.mountpoint}/exercised`
      const args = ['-f', `${local}/fsx.toml`, '-N', `${operations}`, '-S', `${seed}`, '-P', local]
      const { status, output } = await runLong('fsx', [...args, file])
      t.equal(status, 0, output.slice(-2000))
      const sum = `sha256sum < ${file}`
      const before = await shell(sum)
      t.match(before, /^[0-9a-f]{64} /)
      await drive.remount()
      t.equal(await shell(sum), before, 'after a remount the file is what it was')
    })
  }
}
