import { writeFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { startDrive, type TemporaryDrive, temporaryDirectory } from '../support/temp-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts()
const dropPages = 'echo 1 > /proc/sys/vm/drop_caches'

interface Cached extends TemporaryDrive {
  readonly sums: string
}

/** A drive whose two blobs, one of them in two files of the cache, are whole on the local disk. */
async function startCached(
  t: Test,
  options: { readOnly?: boolean; passthrough?: boolean },
): Promise<Cached> {
  const cacheDirectory = await temporaryDirectory(t)
  const blobs = { small: 3_000_001, large: 70 * 2 ** 20 + 5 }
  const drive = await startDrive(t, { cacheDirectory, blobs, listingTtlMs: 60_000, ...options })
  const sums = await shell(`cd ${drive.mountpoint} && ls -l >/dev/null && sha1sum small large`)
  await settled(drive)
  await shell(dropPages)
  // The first open finds the content and compares it.
  await shell(`cd ${drive.mountpoint} && head -c 1 small large`)
  await settled(drive)
  return { ...drive, sums }
}

async function settled({ server }: TemporaryDrive): Promise<string | undefined> {
  server.messages.splice(0)
  server.child.send('settle')
  return (await server.said('settled')).whyNoPassthrough
}

/** A shell runs `open`, JavaScript hangs for ever, the kernel drops what it holds, and the shell goes on with `read`. */
async function whileHanging(
  t: Test,
  { server, mountpoint }: TemporaryDrive,
  script: { readonly open: string; readonly read: string },
): Promise<string> {
  const signals = await temporaryDirectory(t)
  const until = (name: string) => `until [ -e ${signals}/${name} ]; do sleep 0.05; done`
  const { open, read } = script
  const output = shell(
    `cd ${mountpoint} && ${open} && touch ${signals}/open && ${until('hanging')}; ${dropPages}; ${read}`,
  )
  await shell(until('open'))
  server.child.send('block')
  await server.said('blocked')
  await writeFile(`${signals}/hanging`, '')
  return output
}

/** Opens the files of `drive`, and reads them when JavaScript hangs. */
function readWhileHanging(t: Test, drive: Cached): Promise<string> {
  // The kernel asks for the attributes of what was read on a drive that is not read-only: no fstat(2).
  const read = [3, 4].map((fd) => `timeout 50 dd bs=128k status=none <&${fd} | sha1sum`).join('; ')
  const named = `(${read}) | sed '1s/-/small/; 2s/-/large/'`
  return whileHanging(t, drive, { open: 'exec 3< small 4< large', read: named })
}

t.test('reads of cached files are answered while JavaScript hangs', { skip }, async (t) => {
  const drive = await startCached(t, { passthrough: false })

  t.equal(await readWhileHanging(t, drive), drive.sums)
})

t.test('so are those of the part of a file that is cached', { skip }, async (t) => {
  const cacheDirectory = await temporaryDirectory(t)
  const blobs = { large: 90 * 2 ** 20 }
  const drive = await startDrive(t, { cacheDirectory, blobs, listingTtlMs: 60_000 })
  const read = (fd: number, mebibytes: number) =>
    `timeout 50 dd bs=128k count=${8 * mebibytes} status=none <&${fd}`
  // Across the border of two files of the cache.
  const skip60 = (fd: number) => `dd bs=1M count=0 skip=60 status=none <&${fd}`
  const opened = `exec 3< large 4< large && ${skip60(3)} && ${skip60(4)}`
  const sum = await shell(`cd ${drive.mountpoint} && ${opened} && ${read(3, 8)} | sha1sum`)
  await settled(drive)

  // What comes from the disk is compared first; who has the file open may then read it there.
  const open = `${opened} && ${dropPages} && ${read(3, 12)} > /dev/null`
  const output = await whileHanging(t, drive, { open, read: `${read(4, 8)} | sha1sum` })

  t.equal(output, sum)
})

t.test('on a read-only drive the kernel reads cached files by itself', { skip }, async (t) => {
  const drive = await startCached(t, { readOnly: true })
  const output = await readWhileHanging(t, drive)

  t.equal(output, drive.sums)
})

t.test(
  'what this drive writes is read at once, by who had the file open too',
  { skip },
  async (t) => {
    const { mountpoint } = await startCached(t, {})

    const output = await shell(
      `cd ${mountpoint} && exec 3< small && head -c 4 <&3 >/dev/null && echo changed > small && ` +
        'cat small && head -c 8 <&3; echo more >> small; cat small',
    )

    t.equal(output, 'changed\nged\nchanged\nmore\n')
  },
)

// The kernel reads the larger one by itself, and asks for the other.
for (const sizeBytes of [200_000, 400_000]) {
  t.test(
    `another version that appears is opened beside the one that is read, of ${sizeBytes} bytes`,
    { skip },
    async (t) => {
      const cacheDirectory = await temporaryDirectory(t)
      const drive = await startDrive(t, {
        cacheDirectory,
        blobs: { a: sizeBytes },
        listingTtlMs: 500,
        attrTtlMs: 500,
        readOnly: true,
      })
      const { mountpoint, server } = drive
      const before = await shell(`cat ${mountpoint}/a | sha1sum`)
      await settled(drive)
      await shell(`head -c 1 ${mountpoint}/a`)
      t.equal(await settled(drive), undefined)
      const signals = await temporaryDirectory(t)
      const reading = shell(
        `cd ${mountpoint} && exec 3< a && touch ${signals}/open && ` +
          `until [ -e ${signals}/stored ]; do sleep 0.1; done; sleep 1.2; ` +
          'cat a && echo && sha1sum <&3',
      )
      await shell(`until [ -e ${signals}/open ]; do sleep 0.1; done`)
      server.child.send({ put: 'a', text: 'another' })
      await server.said('stored')
      await shell(`touch ${signals}/stored`)
      const output = await reading

      t.equal(output, `another\n${before}`)
    },
  )
}
