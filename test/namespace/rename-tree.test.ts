import fc from 'fast-check'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { type BlobStore, listAll } from '../../src/blob/store.ts'
import { FileSystemError, isFileSystemError } from '../../src/errors.ts'
import { Namespace, type RenameProgress } from '../../src/namespace/namespace.ts'
import type { BlobPath } from '../../src/path.ts'
import { batchingStore } from '../support/batching-store.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type LastRequest, mortalStore } from '../support/mortal-store.ts'

const container = 'data'
const at = (name: string) => ({ container, name })
const marked = { hdi_isfolder: 'true', permissions: '16877', modtime: '1234567890123456789' }
const nothing = new Uint8Array(0)
/** Has tags, and a tier that somebody chose. */
const tagged = 'sub/c'
const tags = { state: 'done' }
const tree = ['a', 'b.bin', 'sub/c', 'sub/deep/d', 'empty', 'größe #1']

/** An account with a tree `from` of six blobs and its marker, and something beside it. */
async function account(extra: readonly string[] = []) {
  const clock = new FakeClock()
  const store = new MemoryBlobStore({ clock })
  await store.createContainer(container)
  await store.put(at('from'), nothing, { metadata: marked })
  for (const name of tree) {
    const chosen = name === tagged ? { tags, tier: 'Cool' } : {}
    await store.put(at(`from/${name}`), Buffer.from(`content of ${name}`), chosen)
  }
  await store.setMetadata(at('from/a'), { author: 'ada' })
  for (const name of extra) await store.put(at(name), Buffer.from(name))
  return { clock, store }
}

const client = (store: BlobStore, clock: FakeClock) =>
  new Namespace({ store, clock, listingTtlMs: 0, tagsOf: async () => tags })

/** All blobs, journals included, by name to content. */
async function blobs(store: BlobStore): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const { name } of listAll(store, at(''))) {
    found.set(name, Buffer.from((await store.get(at(name))).data).toString())
  }
  return found
}

const journals = (found: ReadonlyMap<string, string>) =>
  [...found.keys()].filter((name) => name.startsWith('.abfs/'))

/** The files of the tree that are at neither name with their content. */
function lost(found: ReadonlyMap<string, string>): string[] {
  return tree.filter((name) => {
    const content = `content of ${name}`
    return found.get(`from/${name}`) !== content && found.get(`to/${name}`) !== content
  })
}

const moved = ['to', ...tree.map((name) => `to/${name}`)].sort()
const unmoved = ['from', ...tree.map((name) => `from/${name}`)].sort()

/** Whether the client's store deletes many blobs at once. */
type Deletes = 'single' | 'many'

/** Renames with a client that dies at request `lifetime`; whether it got to the end. */
async function renameAndDie(
  store: BlobStore,
  clock: FakeClock,
  death: [number, LastRequest],
  deletes: Deletes = 'single',
) {
  const mortal = mortalStore(store, ...death)
  const namespace = client(deletes === 'many' ? batchingStore(mortal) : mortal, clock)
  try {
    await namespace.rename(at('from'), at('to'), { concurrency: 2 })
    return true
  } catch (error) {
    if (isFileSystemError(error)) return false
    throw error
  }
}

async function requestsOfRename(): Promise<number> {
  const { store, clock } = await account()
  const counting = new CountingStore(store)
  await client(counting, clock).rename(at('from'), at('to'), { concurrency: 2 })
  return counting.requests.length
}

for (const deletes of ['single', 'many'] as const)
  t.test(
    `a rename of ${deletes} deletions that is killed at any request leaves every file, and is finished`,
    async (t) => {
      const total = await requestsOfRename()
      t.ok(total > 20)
      const outcomes: string[] = []
      for (let lifetime = 1; lifetime <= total; lifetime += 1) {
        for (const last of ['lost', 'done'] as const) {
          const { store, clock } = await account()
          await renameAndDie(store, clock, [lifetime, last], deletes)
          t.same(lost(await blobs(store)), [], `killed at ${lifetime}, ${last}`)

          await clock.advance(11 * 60_000)
          const recovered = await client(store, clock).recoverRenames(container)

          const found = await blobs(store)
          const title = `finished after ${lifetime}, ${last}`
          t.same(journals(found), [], title)
          t.ok(
            [moved, unmoved].some((names) => names.join() === [...found.keys()].sort().join()),
            title,
          )
          t.same(lost(found), [], title)
          const whole = found.has(`to/${tagged}`) ? 'to' : 'from'
          const kept = { tagCount: 1, accessTier: 'Cool' }
          t.match(await store.head(at(`${whole}/${tagged}`)), kept, title)
          outcomes.push(...recovered.map((each) => each.outcome))
        }
      }
      t.comment(`${total} requests; outcomes: ${count(outcomes)}`)
      t.ok(outcomes.includes('completed'))
      t.notOk(outcomes.includes('failed'))
    },
  )

t.test('a recovery that is killed at any request is finished by the next', async (t) => {
  const total = await requestsOfRename()
  for (let lifetime = 1; lifetime <= total; lifetime += 4) {
    for (let second = 1; ; second += 3) {
      const { store, clock } = await account()
      await renameAndDie(store, clock, [lifetime, 'done'])
      await clock.advance(11 * 60_000)
      const dying = mortalStore(store, second, 'done')
      const first = await recoverAndDie(client(dying, clock))
      t.same(lost(await blobs(store)), [], `killed at ${lifetime}, its recovery at ${second}`)

      await clock.advance(11 * 60_000)
      await client(store, clock).recoverRenames(container)

      const found = await blobs(store)
      t.same(journals(found), [])
      t.same(lost(found), [])
      t.notOk(found.has('from/a') && found.has('to/a'), 'no file is left at both names')
      if (first && dying.requests.length < second) break
    }
  }
})

t.test('a resumed rename lists the copies, and deletes its sources by batches', async (t) => {
  const whole = await account()
  const plan = new CountingStore(whole.store)
  await client(plan, whole.clock).rename(at('from'), at('to'), { concurrency: 2 })
  const isOfSource = ({ verb, name }: { verb: string; name: string }) =>
    verb === 'delete' && name.startsWith('from/')
  const firstDeletion = plan.requests.findIndex(isOfSource)
  for (const isCopyGone of [false, true]) {
    const { store, clock } = await account()
    await renameAndDie(store, clock, [firstDeletion + 2, 'done'])
    await clock.advance(11 * 60_000)
    if (isCopyGone) await store.delete(at('to/sub/c'))
    const counting = new CountingStore(store)
    const batches: number[] = []
    const seen = (size: number) => void batches.push(size)

    const [recovered] = await client(batchingStore(counting, seen), clock).recoverRenames(container)

    const looked = counting.requests.filter(
      ({ verb, name }) => verb === 'head' && name.startsWith('from/'),
    )
    const found = [...(await blobs(store)).keys()].filter((name) => !name.startsWith('.abfs/'))
    if (isCopyGone) {
      t.equal(recovered?.outcome, 'failed')
      t.strictSame(
        looked.map(({ name }) => name),
        ['from/sub/c'],
      )
      t.ok(found.includes('from/sub/c'), 'a source without a copy stays')
    } else {
      t.equal(recovered?.outcome, 'completed')
      t.strictSame(looked, [])
      t.strictSame(found.sort(), moved)
    }
    t.ok((batches[0] ?? 0) >= 3, batches.join())
  }
})

async function recoverAndDie(namespace: Namespace): Promise<boolean> {
  try {
    const results = await namespace.recoverRenames(container)
    return results.every(({ outcome }) => outcome !== 'failed')
  } catch (error) {
    if (isFileSystemError(error)) return false
    throw error
  }
}

function undefinedIfMissing(error: unknown): undefined {
  if (!isFileSystemError(error, 'ENOENT')) throw error
}

const count = (words: readonly string[]) =>
  [...new Set(words)]
    .map((word) => `${words.filter((each) => each === word).length} ${word}`)
    .join()

t.test(
  'whatever others write and delete meanwhile, no content that was there last is lost',
  async (t) => {
    const change = fc.record({
      before: fc.nat({ max: 50 }),
      name: fc.constantFrom(...tree, 'new', 'sub/new'),
      side: fc.constantFrom('from' as const, 'to' as const),
      kind: fc.constantFrom('write' as const, 'write' as const, 'delete' as const),
    })
    const death = fc.option(
      fc.tuple(fc.integer({ min: 1, max: 60 }), fc.constantFrom('lost' as const, 'done' as const)),
    )
    const seed = Number(process.env['FC_SEED'] ?? Date.now() & 0x7fffffff)
    t.comment(`seed ${seed}`)

    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 6 }), death, async (changes, dies) => {
        const { store, clock } = await account()
        const others = new Others(store, changes)
        const watched = new CountingStore(store)
        watched.before = () => others.act()
        await renameAndDie(watched, clock, dies ?? [1_000_000, 'done'])
        await others.expectNothingLost()
        await clock.advance(11 * 60_000)
        await client(watched, clock).recoverRenames(container)
        await others.expectNothingLost()
        if (journals(await blobs(store)).length > 0) throw new Error('a journal is left')
      }),
      { seed, numRuns: 400 },
    )
    t.pass('no counterexample')
  },
)

interface Change {
  readonly before: number
  readonly name: string
  readonly side: 'from' | 'to'
  readonly kind: 'write' | 'delete'
}

/** Other clients, who write and delete at both names and remember what must still be there. */
class Others {
  readonly #store: BlobStore
  readonly #changes: readonly Change[]
  /** What must be found at one of the names. */
  readonly #contents: Set<string> = new Set(tree.map((name) => `content of ${name}`))
  #requests = 0
  #writes = 0

  constructor(store: BlobStore, changes: readonly Change[]) {
    this.#store = store
    this.#changes = changes
  }

  async act(): Promise<void> {
    const now = this.#requests++
    for (const change of this.#changes) if (change.before === now) await this.#make(change)
  }

  /** On the version that is there, however often it is replaced meanwhile. */
  async #make(change: Change): Promise<void> {
    const path = at(`${change.side}/${change.name}`)
    for (;;) {
      const present = await this.#store.get(path).catch(undefinedIfMissing)
      try {
        const content = await this.#replace(path, change.kind, present?.properties.etag)
        // What a person overwrites or deletes is gone because they wanted that.
        this.#contents.delete(Buffer.from(present?.data ?? nothing).toString())
        if (content !== undefined) this.#contents.add(content)
        return
      } catch (error) {
        if (!isFileSystemError(error, 'ESTALE', 'EEXIST', 'ENOENT')) throw error
      }
    }
  }

  async #replace(
    path: BlobPath,
    kind: Change['kind'],
    ifMatch: string | undefined,
  ): Promise<string | undefined> {
    if (kind === 'delete') {
      if (ifMatch !== undefined) await this.#store.delete(path, { ifMatch })
      return undefined
    }
    const content = `written ${this.#writes++} to ${path.name}`
    const condition = ifMatch === undefined ? { ifNoneMatch: '*' as const } : { ifMatch }
    await this.#store.put(path, Buffer.from(content), condition)
    return content
  }

  async expectNothingLost(): Promise<void> {
    const there = new Set((await blobs(this.#store)).values())
    const gone = [...this.#contents].filter((content) => !there.has(content))
    if (gone.length > 0) throw new Error(`lost: ${gone.join('; ')}`)
  }
}

t.test('what it does', async (t) => {
  t.test('reports the copies and then the deletions, counted to the end', async (t) => {
    const { store, clock } = await account()
    const seen: RenameProgress[] = []

    await client(store, clock).rename(at('from'), at('to'), { onProgress: (now) => seen.push(now) })

    const last = seen.at(-1)
    t.match(last, { phase: 'deleted', files: 7, totalFiles: 7, path: at('from') })
    t.equal(last?.bytes, last?.totalBytes)
    t.equal(seen.filter(({ phase }) => phase === 'copied').length, 7)
    const order = seen.map(({ phase }) => phase)
    t.ok(order.lastIndexOf('copied') < order.indexOf('deleted'))
  })

  t.test('copies and deletes under the etags that it found', async (t) => {
    const { store, clock } = await account()
    const conditions: unknown[] = []
    const copy = store.copy.bind(store)
    store.copy = (from, to, options) => {
      conditions.push(options?.sourceIfMatch !== undefined && options.ifNoneMatch === '*')
      return copy(from, to, options)
    }
    const counting = new CountingStore(store)

    await client(counting, clock).rename(at('from'), at('to'))

    t.same(new Set(conditions), new Set([true]))
    const deletions = counting.requests.filter(
      ({ verb, name }) => verb === 'delete' && !name.startsWith('.abfs/'),
    )
    t.equal(deletions.length, 7)
    t.ok(deletions.every(({ ifMatch }) => ifMatch !== undefined))
  })

  t.test('moves a file that changed after it was copied in its newer version', async (t) => {
    const { store, clock } = await account()
    const counting = new CountingStore(store)
    let changed = false
    counting.before = async ({ verb, name }) => {
      if (changed || verb !== 'delete' || name !== 'from/a') return
      changed = true
      await store.put(at('from/a'), Buffer.from('newer'))
    }

    await client(counting, clock).rename(at('from'), at('to'))

    const found = await blobs(store)
    t.ok(changed)
    t.same([...found.keys()].sort(), moved)
    t.equal(found.get('to/a'), 'newer')
  })

  t.test('moves files that were added meanwhile', async (t) => {
    const { store, clock } = await account()
    const counting = new CountingStore(store)
    counting.before = async ({ verb, name }) => {
      if (verb === 'copy' && name.startsWith('from/b.bin')) {
        await store.put(at('from/late'), Buffer.from('late'))
      }
    }

    await client(counting, clock).rename(at('from'), at('to'))

    t.same([...(await blobs(store)).keys()].sort(), [...moved, 'to/late'].sort())
  })

  t.test('says what stays when a file appears anew at the old name', async (t) => {
    const { store, clock } = await account()
    const counting = new CountingStore(store)
    counting.before = async ({ verb, name }) => {
      if (verb === 'delete' && name === 'from/sub/c') {
        await store.put(at('from/a'), Buffer.from('anew'))
      }
    }

    const error = await client(counting, clock)
      .rename(at('from'), at('to'), { concurrency: 1 })
      .catch((error: unknown) => error)

    const found = await blobs(store)
    t.match(error, { code: 'EEXIST', message: /the tree was moved, but not what was added/ })
    t.equal(found.get('from/a'), 'anew')
    t.equal(found.get('to/a'), 'content of a')
    t.same(journals(found), [])
  })

  t.test('gives all back when somebody writes over a copy, and leaves theirs', async (t) => {
    const { store, clock } = await account()
    const counting = new CountingStore(store)
    let copies = 0
    counting.before = async ({ verb, name }) => {
      if (verb === 'copy') copies += 1
      if (copies < 7 || verb !== 'listPage' || name !== 'to/') return
      await store.put(at('to/a'), Buffer.from('theirs'))
    }

    const renamed = client(counting, clock).rename(at('from'), at('to'))

    await t.rejects(renamed, { code: 'ESTALE', message: /nothing was moved/ })
    const found = await blobs(store)
    t.same([...found.keys()].sort(), [...unmoved, 'to/a'].sort())
    t.equal(found.get('to/a'), 'theirs')
  })

  t.test('refuses before anything is changed where a new name would be too long', async (t) => {
    const { store, clock } = await account()
    const long = Array.from({ length: 4 }, () => 'x'.repeat(254)).join('/')

    const renamed = client(store, clock).rename(at('from'), at(long))

    await t.rejects(renamed, { code: 'ENAMETOOLONG' })
    t.same([...(await blobs(store)).keys()].sort(), unmoved)
  })

  t.test('needs no journal for a directory of one blob', async (t) => {
    const { store, clock } = await account(['one/file'])
    const counting = new CountingStore(store)

    await client(counting, clock).rename(at('one'), at('two'))

    t.notOk(counting.requests.some(({ verb, name }) => verb === 'put' && name.includes('.abfs')))
    t.equal((await blobs(store)).get('two/file'), 'one/file')
  })

  t.test('reads a plan back page by page when it is large', async (t) => {
    const { store, clock } = await account()
    const many = Array.from({ length: 2600 }, (_, index) => `big/${index}`)
    for (const name of many) await store.put(at(name), Buffer.from(name))
    const counting = new CountingStore(store)

    await client(counting, clock).rename(at('big'), at('huge'))

    const found = await blobs(store)
    t.ok(many.every((name) => found.get(name.replace('big', 'huge')) === name))
    t.notOk([...found.keys()].some((name) => name.startsWith('big') || name.startsWith('.abfs')))
    t.same(
      counting.requests.filter(({ verb }) => verb === 'get').map(({ name }) => name.slice(-6)),
      ['plan-4', 'plan-5', 'pied-4', 'pied-5', 'pied-4', 'pied-5'],
    )
  })
})

t.test('a journal', async (t) => {
  /** An account on which a client died after the copies, and the half that is to come. */
  async function halfDone() {
    const made = await account(['from-not', 'other/x'])
    const total = await requestsOfRename()
    await renameAndDie(made.store, made.clock, [total - 8, 'done'])
    const found = await blobs(made.store)
    return { ...made, found, name: journals(found).find((each) => each.endsWith('/state')) ?? '' }
  }

  t.test('is seen by nobody and cannot be written', async (t) => {
    const { store, clock, found } = await halfDone()
    const namespace = client(store, clock)

    t.ok(journals(found).length > 0)
    t.notOk((await namespace.list(at(''))).some(({ name }) => name.startsWith('.abfs')))
    for await (const { name } of namespace.listTree(at(''), { directories: true })) {
      t.notOk(name.startsWith('.abfs'), name)
    }
    t.equal(await namespace.exists(at('.abfs')), false)
    await t.rejects(namespace.stat(at('.abfs/renames')), { code: 'ENOENT' })
    await t.rejects(namespace.list(at('.abfs')), { code: 'ENOENT' })
    await t.rejects(namespace.makeDirectory(at('.abfs')), { code: 'EPERM' })
    await t.rejects(namespace.removeTree(at('.abfs')), { code: 'EPERM' })
    await t.rejects(namespace.rename(at('other'), at('.abfs/x')), { code: 'EPERM' })
    t.equal(await namespace.exists(at('.abfsx')), false)
  })

  t.test('that is in use is left alone, and its tree is busy', async (t) => {
    const { store, clock, found } = await halfDone()
    const namespace = client(store, clock)
    const busy = { code: 'EBUSY', message: /is under way/ }

    const [left] = await namespace.recoverRenames(container)

    t.match(left, { outcome: 'left', from: at('from'), to: at('to'), files: 7 })
    t.same([...(await blobs(store)).keys()], [...found.keys()])
    await t.rejects(namespace.rename(at('to'), at('elsewhere')), busy)
    await t.rejects(namespace.rename(at('to/sub'), at('elsewhere')), busy)
    await namespace.rename(at('other'), at('fine'))
    const [forced] = await namespace.recoverRenames(container, { force: true })
    t.equal(forced?.outcome, 'completed')
  })

  t.test('that was left behind is finished by the same rename, without an error', async (t) => {
    const { store, clock } = await halfDone()
    await clock.advance(61_000)

    await client(store, clock).rename(at('from'), at('to'))

    const found = await blobs(store)
    t.same(journals(found), [])
    t.same([...found.keys()].sort(), [...moved, 'from-not', 'other/x'].sort())
  })

  t.test('that was left behind is finished before another rename of the tree', async (t) => {
    const { store, clock } = await halfDone()
    await clock.advance(61_000)

    await client(store, clock).rename(at('to'), at('third'))

    const names = [...(await blobs(store)).keys()].sort()
    const third = moved.map((name) => name.replace('to', 'third'))
    t.same(names, [...third, 'from-not', 'other/x'].sort())
  })

  t.test('whose copies were removed meanwhile keeps the sources', async (t) => {
    const { store, clock } = await halfDone()
    const before = await blobs(store)
    const sources = [...before.keys()].filter((name) => name.startsWith('from/'))
    t.ok(sources.length > 0)
    await client(store, clock).removeTree(at('to'))

    const [result] = await client(store, clock).recoverRenames(container, { force: true })

    const after = await blobs(store)
    t.match(result, { outcome: 'failed', error: { code: 'ENOENT', message: /copy is gone/ } })
    t.same(journals(after), [])
    for (const name of sources) t.equal(after.get(name), before.get(name), name)
  })

  t.test(
    'of deletions that are denied says what was moved, and is kept for another try',
    async (t) => {
      const { store, clock } = await account()
      const counting = new CountingStore(store)
      counting.before = ({ verb, name }) => {
        if (verb === 'delete' && name === 'from/b.bin') {
          throw new FileSystemError('EACCES', 'blob.delete', { path: name })
        }
      }
      const message = /5 of 7 blobs were moved, all were copied; left.*from\/b\.bin.*abfs recover/

      await t.rejects(client(counting, clock).rename(at('from'), at('to')), {
        code: 'EACCES',
        message,
      })

      const found = await blobs(store)
      t.equal(found.get('to/b.bin'), found.get('from/b.bin'))
      const [result] = await client(store, clock).recoverRenames(container)
      t.equal(result?.outcome, 'completed')
      t.same([...(await blobs(store)).keys()].sort(), moved)
    },
  )

  t.test('that nobody can read is told of and kept', async (t) => {
    const { store, clock, name } = await halfDone()
    for (const text of ['no json', '{}', '[]', JSON.stringify({ phase: 'copying', from: 1 })]) {
      await store.put(at(name), Buffer.from(text))

      const [result] = await client(store, clock).recoverRenames(container, { force: true })

      t.match(result, { outcome: 'failed', error: { code: 'EIO' } }, text)
      t.ok((await blobs(store)).has(name))
    }
  })

  t.test('cannot make its reader touch another container or a reserved name', async (t) => {
    const { store, clock, name, found } = await halfDone()
    const state: object = JSON.parse(found.get(name) ?? '')
    const places = [
      { from: { container: 'victim', name: 'from' } },
      { from: at('') },
      { to: at('.abfs/renames') },
      { from: at('a//b') },
    ]
    for (const place of places) {
      await store.put(at(name), Buffer.from(JSON.stringify({ ...state, ...place })))

      const [result] = await client(store, clock).recoverRenames(container, { force: true })

      t.equal(result?.outcome, 'failed', JSON.stringify(place))
    }
    const to = { container: 'victim', name: 'to' }
    await store.put(at(name), Buffer.from(JSON.stringify({ ...state, to })))
    const options = { force: true, acrossContainers: false }
    const [result] = await client(store, clock).recoverRenames(container, options)
    t.equal(result?.outcome, 'left')
  })

  t.test('whose recovery is stopped is left for the next one', async (t) => {
    const { store, clock } = await account()
    await renameAndDie(store, clock, [12, 'done'])
    const stop = new AbortController()
    const counting = new CountingStore(store)
    counting.before = ({ verb }) => {
      if (verb === 'copy') stop.abort()
    }
    const options = { force: true, signal: stop.signal }

    await t.rejects(client(counting, clock).recoverRenames(container, options), {
      name: 'AbortError',
    })

    const found = await blobs(store)
    t.ok(journals(found).some((name) => name.endsWith('/state')))
    t.ok(unmoved.every((name) => found.has(name)))
    const [result] = await client(store, clock).recoverRenames(container)
    t.equal(result?.outcome, 'completed')
    t.same([...(await blobs(store)).keys()].sort(), moved)
  })

  t.test('whose client comes back to life stops that client', async (t) => {
    const { store, clock } = await account()
    const counting = new CountingStore(store)
    const other = client(store, clock)
    counting.before = async ({ verb, name }) => {
      if (verb === 'copy' && name.startsWith('from/sub/c')) {
        await other.recoverRenames(container, { force: true })
      }
    }

    const renamed = client(counting, clock).rename(at('from'), at('to'), { concurrency: 1 })

    await t.rejects(renamed, { code: 'EBUSY', message: /another client has taken/ })
    t.same([...(await blobs(store)).keys()].sort(), moved)
  })
})

t.test('a tree moves to another container with its journal in the first', async (t) => {
  const { store, clock } = await account()
  await store.createContainer('other')
  const to = { container: 'other', name: 'to' }
  await renameAndDie(store, clock, [1, 'lost'])
  const namespace = client(mortalStore(store, 12, 'done'), clock)
  await t.rejects(namespace.rename(at('from'), to))
  t.ok(journals(await blobs(store)).length > 0)

  const [result] = await client(store, clock).recoverRenames(container, { force: true })

  t.match(result, { outcome: 'completed', to })
  t.same([...(await blobs(store)).keys()], [])
  const names: string[] = []
  for await (const { name } of listAll(store, { container: 'other', name: '' })) names.push(name)
  t.same(names.sort(), moved)
})
