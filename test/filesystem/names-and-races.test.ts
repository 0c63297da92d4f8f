import t, { type Test } from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { KiB } from '../../src/byte-range.ts'
import { FileSystemError } from '../../src/errors.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { azuriteFileSystem } from '../support/azurite-file-system.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'
import { patternOf } from '../support/pattern.ts'

const ascii = Array.from({ length: 127 }, (_, index) => String.fromCharCode(index + 1))
/** XML cannot hold control characters, so Azure cannot list them; a backslash it takes for a slash. */
const refused = ascii.filter((each) => each < ' ' || each === '\\' || each === '\x7f')
const allowed = ascii.filter((each) => !refused.includes(each) && each !== '/')

type Open = (t: Test) => Promise<AzureBlobFileSystem>

const accounts: Readonly<Record<string, Open>> = {
  async memory() {
    const store = new MemoryBlobStore()
    await store.createContainer('box')
    return new AzureBlobFileSystem({ store, blockBytes: 64 * KiB })
  },
  Azurite: (t) => azuriteFileSystem(t),
  async 'the hierarchical storage server'(t) {
    const clock = new FakeClock()
    const account = await hierarchicalServer(t, { clock, account: 'acct' })
    await account.store.createContainer('box')
    return new AzureBlobFileSystem({ ...account, clock })
  },
}

for (const [name, open] of Object.entries(accounts)) {
  t.test(`every ASCII character is in a name or refused: ${name}`, async (t) => {
    const fs = await open(t)
    for (const character of allowed) {
      const path = `box/dir/a${character}b`
      await fs.writeText(path, `holds ${character}`)
      t.equal(await fs.readText(path), `holds ${character}`, JSON.stringify(character))
    }
    const found = (await fs.find('box/dir')).map((file) => file.name)
    t.strictSame(found.sort(), allowed.map((each) => `box/dir/a${each}b`).sort(), 'all are listed')
    t.equal((await fs.cat('box/dir', { recursive: true })).size, allowed.length)
    await fs.copy('box/dir', 'box/copy', { recursive: true })
    t.equal((await fs.find('box/copy')).length, allowed.length)
    await fs.rm('box/dir', { recursive: true })
    t.notOk(await fs.exists('box/dir', { refresh: true }))
    for (const character of refused) {
      await t.rejects(fs.writeText(`box/a${character}b`, 'x'), { code: 'EINVAL' })
    }
  })
}

/** Two clients of one account, which know nothing of each other. */
async function two() {
  const store = new MemoryBlobStore()
  await store.createContainer('box')
  const open = () => new AzureBlobFileSystem({ store, blockBytes: 64 * KiB })
  return { one: open(), other: open() }
}

const mine = patternOf(300 * KiB)
const theirs = Buffer.alloc(300 * KiB, 't')

t.test('of two writers the last to close wins, whole', async (t) => {
  const { one, other } = await two()
  for (const mode of ['w', 'x'] as const) {
    const path = `box/${mode}`
    const first = await one.open(path, mode)
    const second = await other.open(path, mode)
    await first.write(mine)
    await second.write(theirs)
    await first.close()
    const result = await second.close().then(
      () => theirs,
      (error) => {
        // Blocks that another's commit took away, or the file that may not be there.
        t.match(error, { code: mode === 'x' ? 'EEXIST' : 'ESTALE' })
        return mine
      },
    )
    t.ok(result.equals(await one.catFile(path)), mode)
  }
})

t.test('a writer and a deleter: what is closed after the deletion is there', async (t) => {
  const { one, other } = await two()
  await one.writeText('box/f', 'before')
  const writer = await one.open('box/f', 'w')
  await writer.write('after')
  await other.rmFile('box/f')
  await writer.close()
  t.equal(await other.readText('box/f', {}), 'after')
  const guarded = await one.open('box/f', 'a')
  await guarded.write('!')
  await other.rmFile('box/f')
  await t.rejects(guarded.close(), { code: 'ESTALE' })
  t.notOk(await other.exists('box/f', { refresh: true }))
})

t.test('a reader and an overwriter, a reader and a deleter: one version, or ESTALE', async (t) => {
  const { one, other } = await two()
  for (const disturb of [
    () => other.pipeFile('box/f', theirs),
    () => other.rmFile('box/f'),
    async () => {
      await other.mv('box/f', 'box/g')
      await other.pipeFile('box/f', theirs)
    },
  ]) {
    await one.pipeFile('box/f', mine)
    await using reader = await one.open('box/f', 'r', { cacheType: 'none' })
    const head = await reader.read(1000)
    await disturb()
    reader.seek(200 * KiB)
    await t.rejects(reader.read(1000), { code: 'ESTALE' })
    t.ok(mine.subarray(0, 1000).equals(head))
  }
})

t.test('exists is false for what is missing, and for nothing else', async (t) => {
  const { one } = await two()
  await one.writeText('box/f', 'x')
  t.notOk(await one.exists('box/none'))
  t.notOk(await one.exists('none/none'))
  t.notOk(await one.exists('box/f/below'))
  for (const code of ['EACCES', 'EIO', 'ETIMEDOUT', 'EBUSY'] as const) {
    const store = new MemoryBlobStore()
    const fail = async () => {
      throw new FileSystemError(code, 'blob.head', {})
    }
    Object.assign(store, { head: fail, listPage: fail })
    const fs = new AzureBlobFileSystem({ store })
    await t.rejects(fs.exists('box/f'), { code })
    await t.rejects(fs.isFile('box/f'), { code })
    await t.rejects(fs.isDir('box/f'), { code })
  }
})
