import { test } from 'tap'
import { MemoryBlobStore } from '../../../src/blob/memory-store.ts'
import type { Account } from '../../../src/cli/compose.ts'
import { examineNames } from '../../../src/cli/drive/examine-names.ts'

const { signal } = new AbortController()

async function findingOf(...names: readonly string[]) {
  const store = new MemoryBlobStore()
  await store.createContainer('box')
  for (const name of names) await store.put({ container: 'box', name }, Buffer.from('x'), {})
  return examineNames({ store } as unknown as Account, { container: 'box', name: '' }, signal)
}

test('names that drives list and nobody can open by them are told', async (t) => {
  const long = 'é'.repeat(128)

  const { verdict, detail } = await findingOf('fine', 'a//b', `d/${long}`, `${long}x/f`)

  t.equal(verdict, 'warned')
  t.match(detail, `whose names no path can be: 'a//b', 'd/${long}', '${long}x/f'`)
})

test('a file that a directory of its name hides is told, and nothing of others', async (t) => {
  t.match((await findingOf('a', 'a-b', 'a/c')).detail, /reach them\): 'a'$/)
  t.match(await findingOf('a', 'a-b', 'b/c', 'é'.repeat(127)), {
    verdict: 'ok',
    detail: 'drives show all 4 names below it',
  })
})
