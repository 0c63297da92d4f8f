import fc from 'fast-check'
import t, { type Test } from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { type ListOptions, listPages } from '../../src/blob/store.ts'
import { FileSystemError } from '../../src/errors.ts'
import { type Division, listPagesDivided } from '../../src/namespace/divided-listing.ts'
import { CountingStore } from '../support/counting-store.ts'
import { listedStore } from '../support/listed-store.ts'

const seed = Math.floor(Math.random() * 2 ** 31)
const container = 'box'

async function filled(names: Iterable<string>): Promise<MemoryBlobStore> {
  const store = new MemoryBlobStore()
  await store.createContainer(container)
  for (const name of names) await store.put({ container, name }, new Uint8Array())
  return store
}

async function namesOf(pages: ReturnType<typeof listPages>): Promise<string[]> {
  const names: string[] = []
  for await (const page of pages) names.push(...page.map(({ name }) => name))
  return names
}

const segment = fc.oneof(
  fc.stringMatching(/^[a-c]{1,2}$/),
  fc.constantFrom('-', '0', '.x', '\u{1F600}', '\uff5e', 'a b', '\u00e9'),
)
const nameArbitrary = fc
  .array(segment, { minLength: 1, maxLength: 5 })
  .map((segments) => segments.join('/'))
const divisionArbitrary: fc.Arbitrary<Division> = fc.record({
  pages: fc.integer({ min: 1, max: 4 }),
  lanes: fc.integer({ min: 1, max: 4 }),
})
const shapeArbitrary = fc.record({
  division: divisionArbitrary,
  maxResults: fc.integer({ min: 1, max: 7 }),
  prefix: fc.constantFrom('', '', 'a/', 'b/', 'aa/a/', 'a', 'b/a'),
})

t.test(`a divided listing tells what one chain tells, in its order (seed ${seed})`, async (t) => {
  let divided = 0
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(nameArbitrary, { minLength: 30, maxLength: 120 }),
      shapeArbitrary,
      async (names, { division, maxResults, prefix }) => {
        const store = new CountingStore(await filled(names))
        const path = { container, name: prefix }
        const expected = await namesOf(listPages(store, path, { maxResults }))
        const plain = store.take().length

        const found = await namesOf(listPagesDivided(store, path, { maxResults }, division))

        t.strictSame(found, expected)
        if (store.take().length > plain) divided++
      },
    ),
    { seed, numRuns: 300 },
  )
  t.ok(divided > 20, `${divided} of 300 listings were divided`)
})

t.test(`what others change meanwhile moves nothing else (seed ${seed})`, async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(nameArbitrary, { minLength: 20, maxLength: 100 }),
      shapeArbitrary,
      fc.infiniteStream(fc.nat(1000)),
      async (all, { division, maxResults }, dice) => {
        const changing = all.filter((_, index) => index % 3 === 0)
        const lasting = all.filter((_, index) => index % 3 !== 0)
        const store = await filled(all)
        const there = new Set(changing)
        const list = store.listPage.bind(store)
        store.listPage = async (prefix, options) => {
          const page = await list(prefix, options)
          const name = changing[(dice.next().value ?? 0) % changing.length] ?? ''
          if (there.delete(name)) await store.delete({ container, name })
          else {
            there.add(name)
            await store.put({ container, name }, new Uint8Array())
          }
          return page
        }
        const pages = listPagesDivided(store, { container, name: '' }, { maxResults }, division)

        const found = await namesOf(pages)

        t.equal(new Set(found).size, found.length, 'nothing is told twice')
        t.strictSame(
          found.filter((name) => lasting.includes(name)).sort(),
          [...lasting].sort(),
          'what stayed is told',
        )
        t.ok(found.every((name) => all.includes(name)))
      },
    ),
    { seed, numRuns: 150 },
  )
})

function tree(directories: number, files: (directory: number) => number): string[] {
  return Array.from({ length: directories }, (_, directory) =>
    Array.from({ length: files(directory) }, (_, file) => `data/d${directory}/f${file}`),
  ).flat()
}

/** Requests of a listing, and how many of them had to wait for one another. */
async function cost(names: readonly string[], options: ListOptions = {}) {
  const store = await listedStore(names)
  let requests = 0
  let rounds = 0
  const waiting: (() => void)[] = []
  const answerAll = () => {
    rounds++
    for (const answer of waiting.splice(0)) answer()
  }
  const list = store.listPage.bind(store)
  store.listPage = async (prefix, given) => {
    requests++
    if (waiting.length === 0) setImmediate(answerAll)
    await new Promise<void>((resolve) => waiting.push(resolve))
    return list(prefix, given)
  }
  const found = await namesOf(
    listPagesDivided(store, { container, name: '' }, { maxResults: 100, ...options }),
  )
  return { requests, rounds, found, pages: Math.ceil(names.length / 100) }
}

function within(t: Test, actual: number, most: number, what: string): void {
  t.ok(actual <= most, `${actual} ${what}, ${Math.floor(most)} at most`)
}

t.test(
  'a long listing of like directories costs a tenth more, and a fifth of the time',
  async (t) => {
    const names = tree(2000, () => 50)
    const { requests, rounds, found, pages } = await cost(names)

    t.strictSame(found, [...names].sort())
    within(t, requests, pages * 1.13, `requests for ${pages} pages`)
    within(t, rounds, pages / 5, 'rounds')
  },
)

t.test('a short listing is one chain', async (t) => {
  const { requests, pages } = await cost(tree(10, () => 90))

  t.equal(requests, pages)
})

t.test('one long directory is one chain, and asks seldom', async (t) => {
  const { requests, pages } = await cost(tree(1, () => 10_000))

  within(t, requests, pages * 1.11, `requests for ${pages} pages`)
})

t.test('small directories behind a large one are put together', async (t) => {
  const names = tree(3000, (directory) => (directory === 0 ? 2000 : 1))
  const { requests, found, pages } = await cost(names)

  t.strictSame(found, [...names].sort())
  within(t, requests, pages * 2, `requests for ${pages} pages`)
})

t.test('a service that begins at the beginning, or refuses, is asked in one chain', async (t) => {
  const names = tree(200, () => 50)
  for (const answer of ['ignores', 'refuses'] as const) {
    const store = await listedStore(names)
    const list = store.listPage.bind(store)
    let asked = 0
    store.listPage = async (prefix, { startFrom, ...options } = {}) => {
      if (startFrom !== undefined) asked++
      if (startFrom !== undefined && answer === 'refuses') {
        throw new FileSystemError('EINVAL', 'blob.list', { serviceCode: 'InvalidHeaderValue' })
      }
      return list(prefix, options)
    }
    const path = { container, name: '' }
    const listing = () => namesOf(listPagesDivided(store, path, { maxResults: 100 }))

    t.strictSame(await listing(), [...names].sort())
    t.strictSame(await listing(), [...names].sort())
    t.equal(asked, 1)
  }
})

t.test('who stops early leaves nothing under way; a failure is told once', async (t) => {
  const store = await listedStore(tree(2000, () => 50))
  const list = store.listPage.bind(store)
  const signals: AbortSignal[] = []
  let failing = false
  store.listPage = async (prefix, options = {}) => {
    if (options.signal !== undefined) signals.push(options.signal)
    if (failing) throw new Error('broken')
    return list(prefix, options)
  }
  const path = { container, name: '' }
  let pages = 0
  for await (const _page of listPagesDivided(store, path, { maxResults: 100 })) {
    if (++pages === 20) break
  }
  t.ok(signals.length > 0 && signals.every(({ aborted }) => aborted))
  const listing = listPagesDivided(store, path, { maxResults: 100 })
  for (let page = 0; page < 15; page++) await listing.next()
  failing = true
  await t.rejects(namesOf(listing), { message: 'broken' })
})

/** A store that tells how many pages it was asked for, and what became of their signals. */
async function watched(names: readonly string[]) {
  const store = await listedStore(names)
  const list = store.listPage.bind(store)
  const signals: (AbortSignal | undefined)[] = []
  store.listPage = (prefix, options) => {
    signals.push(options?.signal)
    return list(prefix, options)
  }
  return { store, signals, path: { container, name: '' } }
}

t.test('the next page is under way while one is used, from the second on', async (t) => {
  const { store, signals, path } = await watched(tree(1, () => 600))
  const asked: number[] = []
  for await (const _page of listPagesDivided(store, path, { maxResults: 100 })) {
    asked.push(signals.length)
  }
  t.strictSame(asked, [1, 3, 4, 5, 6, 6])
})

t.test('a page that was asked for ahead is given up with the listing', async (t) => {
  const { store, signals, path } = await watched(tree(1, () => 600))
  const caller = new AbortController()
  const listing = listPagesDivided(store, path, { maxResults: 100, signal: caller.signal })
  await listing.next()
  await listing.next()
  t.equal(signals.length, 3)
  t.equal(signals[2]?.aborted, false)
  await listing.return()
  t.equal(signals[2]?.aborted, true)

  const aborted = listPagesDivided(store, path, { maxResults: 100, signal: caller.signal })
  await aborted.next()
  await aborted.next()
  const reason = new Error('enough')
  caller.abort(reason)
  t.equal(signals.at(-1)?.reason, reason)
  await aborted.return()
})

t.test('the failure of a page that was asked for ahead is told in its place', async (t) => {
  const store = await listedStore(tree(1, () => 600))
  const list = store.listPage.bind(store)
  let asked = 0
  store.listPage = (prefix, options) =>
    ++asked === 3 ? Promise.reject(new Error('broken')) : list(prefix, options)
  const listing = listPagesDivided(store, { container, name: '' }, { maxResults: 100 })

  t.equal((await listing.next()).value?.length, 100)
  t.equal((await listing.next()).value?.length, 100)
  await t.rejects(listing.next(), { message: 'broken' })
  t.equal(asked, 3)
})
