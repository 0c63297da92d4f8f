import { fstatSync } from 'node:fs'
import { readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { DiskFiles } from '../../src/transfer/disk-files.ts'

/** How many descriptors of this process are of files below `directory`. */
async function openBelow(directory: string): Promise<number> {
  const found = await Promise.all(
    (await readdir('/proc/self/fd')).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  )
  return found.filter((target) => target.startsWith(`${directory}/`)).length
}

const skip = process.platform === 'linux' ? false : 'descriptors are listed in /proc'

t.test(
  'what is used while the files are closed, or after, stays open no longer',
  { skip },
  async (t) => {
    const directory = t.testdir({})
    const files = new DiskFiles(8)
    const [one, late] = ['one', 'late'].map((name) => ({ place: join(directory, name) }))
    if (one === undefined || late === undefined) throw new Error('two places')
    let release = () => {}
    const held = new Promise<void>((resolve) => (release = resolve))
    const using = files.use(one, { create: true }, () => held)
    await files.use(late, { create: true }, async () => undefined)
    t.equal(await openBelow(directory), 4)

    const closing = files.close()
    await files.use(late, { create: false }, async ({ data }) => {
      t.equal(fstatSync(data.fd).size, 0, 'a reader that was under way gets its files')
    })
    release()
    await Promise.all([using, closing])

    for (let wait = 0; wait < 50 && (await openBelow(directory)) > 0; wait++) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    t.equal(await openBelow(directory), 0)
  },
)
