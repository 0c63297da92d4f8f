/** A drive whose small files are read one after the other. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { runAbfs, startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { patternOf } from '../support/pattern.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const count = 48
const fileBytes = 40 * KiB

t.test('a directory of small files', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const place = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: place }
  const local = join(place, 'set')
  mkdirSync(local)
  const content = patternOf(count * fileBytes)
  for (let at = 0; at < count; at += 1) {
    const name = `image-${String(at).padStart(4, '0')}.jpg`
    writeFileSync(join(local, name), content.subarray(at * fileBytes, (at + 1) * fileBytes))
  }
  await runAbfs(['cp', '-r', local, 'abfs://data/'], { env })
  const expected = await shell(`cat '${local}'/* | sha256sum`)

  const { directory, end } = await startDrive(
    t,
    ['--attr-ttl', '600', '--cache-dir', join(place, 'cache')],
    { env },
  )
  const read = await shell(`cat '${join(directory, 'set')}'/* | sha256sum`)
  const { stdout } = await runAbfs(['stats', directory, '--json'], { env })
  const shown = await runAbfs(['stats', directory], { env })
  const { traffic, filesAhead } = JSON.parse(stdout)

  t.equal(read, expected)
  t.equal(traffic.requestsByOperation['blob.get'], count, 'each file is asked for once')
  t.ok(
    filesAhead.usedFiles > count / 2,
    `${filesAhead.usedFiles} were there before they were opened`,
  )
  t.ok(filesAhead.fetchedFiles <= count)
  t.match(shown.stdout, /files ahead \d+ \(.*\), \d+ \(.*\) of them used/)
  t.equal(await end(), 0)

  const plain = await startDrive(t, ['--no-prefetch-files'], { env })
  t.equal(await shell(`cat '${join(plain.directory, 'set')}'/* | sha256sum`), expected)
  const { stdout: said } = await runAbfs(['stats', plain.directory, '--json'], { env })
  t.equal(JSON.parse(said).filesAhead.fetchedFiles, 0)
  t.equal(await plain.end(), 0)
})
