import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'

/** An account with `box/d/a`, `b` and `c`, all empty, and a directory `box/d/marked`. */
async function account(t: Test, hierarchical: boolean) {
  const { store, hierarchyOf, requests } = await hierarchicalServer(t, {
    settings: { hierarchical },
  })
  const open = () => new AzureBlobFileSystem({ store, hierarchyOf })
  await store.createContainer('box')
  const writer = open()
  await writer.mkdir('box/d/marked')
  for (const name of ['a', 'b', 'c']) await writer.writeText(`box/d/${name}`, '')
  const fs = open()
  requests.length = 0
  const reads = () => requests.splice(0).filter((request) => request.endsWith('blob.get'))
  return { fs, writer, reads }
}

for (const hierarchical of [false, true]) {
  const kind = hierarchical ? 'a hierarchical' : 'a flat'

  t.test(`${kind} account is asked once for each file that a listing says is empty`, async (t) => {
    const { fs, reads } = await account(t, hierarchical)
    const down = t.testdir()

    t.equal((await fs.cat('box/d/*')).size, 3)
    t.same(
      reads(),
      Array.from({ length: 3 }, () => 'GET blob.get'),
    )
    t.equal((await fs.cat('box/d', { recursive: true })).size, 3)
    t.equal(reads().length, 3)
    t.equal(await fs.readText('box/d/a'), '')
    t.same(await fs.catRanges([{ path: 'box/d/a', start: 0, end: 9 }]), [new Uint8Array()])
    await fs.getFile('box/d/a', join(down, 'a'))
    t.equal(reads().length, 3)
    await fs.get('box/d/', down, { recursive: true })
    t.equal(reads().length, 3)
    t.equal((await stat(join(down, 'c'))).size, 0)
  })

  t.test(`${kind} account tells an empty file that nobody listed from a directory`, async (t) => {
    const { fs, reads } = await account(t, hierarchical)

    t.equal(await fs.readText('box/d/a'), '')
    t.same(reads(), ['GET blob.get', 'HEAD blob.get'])
    await t.rejects(fs.readText('box/d/marked'), { code: 'EISDIR' })
    await fs.ls('box/d')
    await t.rejects(fs.readText('box/d/marked'), { code: 'EISDIR' })
  })

  for (const size of [3, 4096, 100_000]) {
    t.test(`${kind} account gives all ${size} bytes of a file that was empty`, async (t) => {
      const { fs, writer } = await account(t, hierarchical)
      const down = t.testdir()
      await fs.ls('box/d')
      await writer.writeText('box/d/a', 'x'.repeat(size))

      t.equal(await fs.readText('box/d/a'), 'x'.repeat(size))
      t.equal((await fs.catFile('box/d/a', { end: 2 })).byteLength, 2)
      await fs.getFile('box/d/a', join(down, 'a'))
      t.equal(await readFile(join(down, 'a'), 'utf8'), 'x'.repeat(size))
    })
  }
}
