/** A drive whose files are read here and there. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { KiB, MiB } from '../../src/byte-range.ts'
import { runAbfs, startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { patternOf } from '../support/pattern.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

/** Reads 4 KiB of each 64 KiB of a file, none after its neighbour, and prints the sum of all that was read; in a shell's single quotes. */
const scatteredReads = `
  const { openSync, readSync } = require("node:fs")
  const { createHash } = require("node:crypto")
  const file = openSync(process.argv[1], "r")
  const sum = createHash("sha256")
  const page = Buffer.alloc(4096)
  for (let at = 0; at < 256; at++) {
    readSync(file, page, 0, 4096, ((at * 37) % 256) * 65536)
    sum.update(page)
  }
  console.log(sum.digest("hex"))
`

t.test('a file that is read here and there', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const place = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: place }
  const content = patternOf(16 * MiB)
  const local = join(place, 'set.h5')
  writeFileSync(local, content)
  await runAbfs(['cp', local, 'abfs://data/set.h5'], { env })
  const expected = createHash('sha256')
  for (let at = 0; at < 256; at += 1) {
    const start = ((at * 37) % 256) * 64 * KiB
    expected.update(content.subarray(start, start + 4 * KiB))
  }
  const sum = expected.digest('hex')

  for (const flags of [[], ['--cache-dir', join(place, 'cache')]]) {
    const { directory, end } = await startDrive(t, flags, { env })
    const read = await shell(
      `'${process.execPath}' -e '${scatteredReads}' '${join(directory, 'set.h5')}'`,
    )
    const { stdout } = await runAbfs(['stats', directory, '--json'], { env })
    const { traffic } = JSON.parse(stdout) as { readonly traffic: { readonly requests: number } }
    const whole = await shell(`sha256sum < '${join(directory, 'set.h5')}'`)

    t.equal(read.trim(), sum)
    t.ok(traffic.requests < 160, `${traffic.requests} requests for 256 reads`)
    t.equal(whole.split(' ')[0], createHash('sha256').update(content).digest('hex'))
    t.equal(await end(), 0)
  }
})
