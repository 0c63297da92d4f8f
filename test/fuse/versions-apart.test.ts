/** Others replace a file that was read here: the kernel has one cache of pages and one size for an inode. */
import t, { type Test } from 'tap'
import type { DriveOptions } from '../support/drive-server.ts'
import { startDrive, type TemporaryDrive, temporaryDirectory } from '../support/temp-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts()
const MiB = 2 ** 20
const other = 'other'.repeat(MiB)

/** A drive with a file `a` of 3 MiB and one of five bytes, `short`. */
async function startWith(t: Test, options: Partial<DriveOptions> = {}): Promise<TemporaryDrive> {
  const ttl = { listingTtlMs: 60_000, attrTtlMs: 60_000 }
  return startDrive(t, { blobs: { a: 3 * MiB, short: 5 }, ...ttl, ...options })
}

async function replace({ server }: TemporaryDrive, name: string): Promise<void> {
  server.messages.splice(0)
  server.child.send({ put: name, text: other })
  await server.said('stored')
}

/** Reads what nobody has read yet of the file behind descriptor 3. */
const later = "dd bs=1M skip=2 count=1 status=none <&3 2>&1 > /dev/null | grep -o 'Stale file.*'"
const sum = (bytes: string): string => `printf %s "$(${bytes} | sha1sum | cut -c1-40)"`
const writeOther = `node -e "process.stdout.write('other'.repeat(${MiB}))"`

t.test('pages of a version that was read are not followed by another', { skip }, async (t) => {
  const drive = await startWith(t)
  const within = `cd ${drive.mountpoint} &&`
  await shell(`${within} ls -l > /dev/null && head -c 4096 a > /dev/null`)
  await replace(drive, 'a')

  t.equal(
    await shell(`${within} exec 3< a && head -c 4096 <&3 > /dev/null; ${later}`),
    'Stale file handle\n',
  )
  t.equal(await shell(`${within} ${sum('cat a')}`), await shell(sum(writeOther)), 'opened again')
})

t.test('a file that others made longer is read to its end', { skip }, async (t) => {
  const drive = await startWith(t)
  t.match(await shell(`ls -l ${drive.mountpoint}`), / 5 .* short\n/)
  await replace(drive, 'short')

  t.equal(await shell(sum(`cat ${drive.mountpoint}/short`)), await shell(sum(writeOther)))
})

t.test(
  'who reads the former version sees nothing of the next, or its size',
  { skip },
  async (t) => {
    const drive = await startWith(t, { listingTtlMs: 300, attrTtlMs: 300 })
    const signals = await temporaryDirectory(t)
    const within = `cd ${drive.mountpoint} &&`
    const waitFor = (name: string) => `until [ -e ${signals}/${name} ]; do sleep 0.1; done`
    const reading = shell(
      `${within} exec 3< a && head -c 4096 <&3 > /dev/null && touch ${signals}/open && ` +
        `${waitFor('go')}; stat -Lc '%s %h' /proc/self/fd/3; ${later}`,
    )
    await shell(waitFor('open'))
    await replace(drive, 'a')
    const isShown = `until [ "$(stat -c %s a)" = ${5 * MiB} ]; do sleep 0.1; done`
    const next = await shell(
      `${within} ${isShown}; ${sum('cat a')} && chmod 640 a && stat -c ' %a' a`,
    )
    await shell(`touch ${signals}/go`)

    t.equal(next, `${await shell(sum(writeOther))} 640\n`)
    t.equal(await reading, `${3 * MiB} 0\nStale file handle\n`)
  },
)

t.test(
  'a change of attributes takes no bytes for those of another version',
  { skip },
  async (t) => {
    const drive = await startWith(t)
    const within = `cd ${drive.mountpoint} &&`
    await shell(`${within} ls -l > /dev/null && cat a > /dev/null`)
    await replace(drive, 'a')

    t.equal(
      await shell(`${within} chmod 640 a && ${sum('cat a')} && stat -c ' %a %s' a`),
      `${await shell(sum(writeOther))} 640 ${5 * MiB}\n`,
    )
  },
)
