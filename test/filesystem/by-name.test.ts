import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { collectByName, sortedByName } from '../../src/filesystem/by-name.ts'
import { byName, type TreeEntry } from '../../src/filesystem/tree-view.ts'
import { inTurns, itemsATurn } from '../../src/turns.ts'
import { countTurns } from '../support/count-turns.ts'

const many = 5 * itemsATurn + 17

function file(name: string, size: number): TreeEntry {
  return { name, type: 'file', size }
}

t.test('what is in no order is sorted in turns, equal names as they came', async (t) => {
  const seed = Date.now() % 2 ** 31
  t.comment(`seed ${seed}`)
  const numbers = fc.sample(fc.integer({ min: 0, max: Math.floor(many / 2) }), {
    seed,
    numRuns: many,
  })
  const entries = numbers.map((number, index) => file(`f${number}`, index))
  const expected = [...entries].sort(byName)
  const turns = countTurns()
  const sorted = await sortedByName(entries)
  const passed = turns.count()
  turns.end()

  t.ok(
    sorted.every((entry, index) => entry === expected[index]),
    'as Array.prototype.sort has it',
  )
  t.equal(sorted.length, many)
  t.ok(passed > 10, `${passed} turns`)
})

t.test('what is in order stays as it is, and only what is wanted', async (t) => {
  const entries = Array.from({ length: many }, (_, index) => file(String(1e9 + index), index))
  const found = await collectByName(inTurns(entries), ({ size }) => size % 3 === 0)
  t.ok(found.every(({ size }, index) => size === 3 * index))
  t.equal(found.length, Math.ceil(many / 3))
  t.strictSame(await collectByName(inTurns<TreeEntry>([])), [])
})

t.test('a directory of many names is listed in turns, kept or not', async (t) => {
  const store = new MemoryBlobStore()
  await store.createContainer('box')
  const names = Array.from({ length: 2.5 * itemsATurn }, (_, index) => `f${1e6 + index}`)
  for (const name of names) await store.put({ container: 'box', name }, new Uint8Array(1))
  const fileSystem = new AzureBlobFileSystem({ store })
  const expected = names.map((name) => `box/${name}`)
  await fileSystem.ls('box')

  for (const refresh of [true, false]) {
    const turns = countTurns()
    const found = await fileSystem.ls('box', { refresh })
    const passed = turns.count()
    turns.end()
    t.strictSame(
      found.map(({ name }) => name),
      expected,
    )
    t.ok(passed >= 2, `${passed} turns`)
  }
  t.equal(await fileSystem.du('box'), names.length)
  t.equal((await fileSystem.diskUsage('box')).size, names.length)
})
