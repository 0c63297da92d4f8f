import t from 'tap'
import type { HierarchyStore } from '../../src/blob/hierarchy.ts'
import { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { ReplacingBlobStore } from '../../src/blob/replacing-store.ts'
import { type BlobStore, listAll } from '../../src/blob/store.ts'
import { KiB } from '../../src/byte-range.ts'
import { systemClock } from '../../src/clock.ts'
import { createFileSystem } from '../../src/create-file-system.ts'
import { FileSystemError, isFileSystemError } from '../../src/errors.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import type { Remote } from '../../src/filesystem/remote.ts'
import { keySignatures } from '../../src/given-credential.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { remoteFiles } from '../support/file-system.ts'
import type { LastRequest } from '../support/mortal-store.ts'

const at = (name: string) => ({ container: 'box', name })
const large = 'x'.repeat(10 * KiB)

/** What stands between a client and its account: told of each request, and may throw in its place. */
type Between = (verb: string, send: () => unknown, args: readonly unknown[]) => unknown

/** A flat or hierarchical account, which each client sees through what is between. */
async function account(kind: 'flat' | 'hierarchical') {
  const clock = new FakeClock()
  const memory =
    kind === 'flat'
      ? { store: new MemoryBlobStore({ account: 'acct', clock }), hierarchy: undefined }
      : hierarchical(clock)
  await memory.store.createContainer('box')
  const open = (between: Between = (_, send) => send()) => {
    const seen = through(memory.store, between)
    const hierarchy = memory.hierarchy && through(memory.hierarchy, between)
    const hierarchyOf = async () => hierarchy
    const store = hierarchy === undefined ? seen : new ReplacingBlobStore(seen, hierarchyOf)
    return new AzureBlobFileSystem({ store, hierarchyOf, clock, blockBytes: 4 * KiB })
  }
  return { clock, store: memory.store as BlobStore, open }
}

function hierarchical(clock: FakeClock): {
  readonly store: MemoryHierarchicalStore
  readonly hierarchy: HierarchyStore
} {
  const store = new MemoryHierarchicalStore({ account: 'acct', clock })
  return { store, hierarchy: store.hierarchy }
}

function through<T extends object>(target: T, between: Between): T {
  return new Proxy(target, {
    get(_, key) {
      const value: unknown = Reflect.get(target, key)
      if (typeof value !== 'function') return value
      return async (...args: unknown[]) =>
        between(String(key), () => Reflect.apply(value, target, args), args)
    },
  })
}

/** A client whose request number `lifetime` is its last; `count()` is how many it has tried. */
function mortal(lifetime: number, last: LastRequest) {
  let requests = 0
  const between: Between = async (_, send) => {
    requests += 1
    if (requests < lifetime) return send()
    if (requests === lifetime && last === 'done') await send()
    throw new FileSystemError('EIO', 'blob.request', { detail: 'this client is dead' })
  }
  return { between, count: () => requests }
}

const before = {
  kept: 'before',
  grown: large,
  'dir/old': 'goes',
  from: 'moved',
  'tree/x': 'x',
  'tree/deep/y': 'y',
}
const after = {
  kept: 'after',
  grown: `${large}${large}`,
  to: 'moved',
  'new/a': 'one',
  'new/large': large,
  emptied: '',
}

async function plant(fs: AzureBlobFileSystem): Promise<void> {
  for (const [name, text] of Object.entries({ ...before, emptied: 'full' })) {
    await fs.writeText(`box/${name}`, text)
  }
}

/** Whether it said that all is done. */
async function transact(fs: AzureBlobFileSystem): Promise<boolean> {
  try {
    const tx = fs.startTransaction()
    await tx.writeText('box/kept', 'after', { metadata: { kind: 'new' }, contentType: 'text/x' })
    await tx.writeText('box/grown', `${large}${large}`)
    await tx.writeText('box/new/a', 'one')
    await tx.pipeFile('box/new/large', large, { mode: 'create' })
    await tx.writeText('box/emptied', '')
    await tx.mv('box/from', 'box/to')
    await tx.rm(['box/dir/old', 'box/tree'], { recursive: true })
    await tx.commit()
    return true
  } catch (error) {
    if (isFileSystemError(error)) return false
    throw error
  }
}

async function journals(store: BlobStore): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of listAll(store, at('.abfs/transactions/'))) names.push(name)
  return names
}

const sorted = (files: Record<string, string>) => JSON.stringify(Object.entries(files).sort())
const all = sorted(after)
const none = sorted({ ...before, emptied: 'full' })

for (const kind of ['flat', 'hierarchical'] as const) {
  t.test(
    `a ${kind} transaction that is killed at any request is all there, or none of it`,
    async (t) => {
      const whole = mortal(Number.POSITIVE_INFINITY, 'done')
      const healthy = await account(kind)
      await plant(healthy.open())
      t.ok(await transact(healthy.open(whole.between)))
      t.equal(sorted(await remoteFiles(healthy.open(), 'box')), all)
      const counts = { all: 0, none: 0, completed: 0 }
      for (let lifetime = 1; lifetime <= whole.count(); lifetime += 1) {
        for (const last of ['lost', 'done'] as const) {
          const { clock, store, open } = await account(kind)
          await plant(open())
          const said = await transact(open(mortal(lifetime, last).between))
          await clock.advance(61_000)

          const outcomes = (await open().recover('box')).map(({ outcome }) => outcome)

          const found = sorted(await remoteFiles(open(), 'box'))
          const title = `killed at ${lifetime}, ${last}: ${outcomes.join()}`
          t.ok(found === all || (found === none && !said), title)
          t.ok(
            outcomes.every((outcome) => outcome === 'completed'),
            title,
          )
          t.same(await journals(store), [], title)
          counts[found === all ? 'all' : 'none'] += 1
          counts.completed += outcomes.length
          if (found !== all) continue
          const { metadata, contentType } = await store.head(at('kept'))
          t.match({ metadata, contentType }, { metadata: { kind: 'new' }, contentType: 'text/x' })
        }
      }
      t.comment(`${whole.count()} requests: ${JSON.stringify(counts)}`)
      t.ok(counts.none > 10 && counts.completed > 10)
    },
  )

  t.test(`a ${kind} recovery that is killed at any request is finished by the next`, async (t) => {
    for (const sent of [1, 6]) {
      for (let lifetime = 1; ; lifetime += 1) {
        const { clock, store, open } = await account(kind)
        await plant(open())
        t.notOk(await transact(open(dyingAfterJournal(sent))))
        await clock.advance(61_000)
        const dying = mortal(lifetime, lifetime % 2 === 0 ? 'lost' : 'done')
        await open(dying.between)
          .recover('box')
          .catch(() => undefined)
        await clock.advance(61_000)

        await open().recover('box')

        t.equal(sorted(await remoteFiles(open(), 'box')), all, `${sent}, ${lifetime}`)
        t.same(await journals(store), [])
        if (dying.count() < lifetime) break
      }
    }
  })

  t.test(`two ${kind} recoverers at once, and the client that is taken for dead`, async (t) => {
    for (const sent of [1, 3, 5]) {
      const { store, open } = await account(kind)
      await plant(open())
      await transact(open(dyingAfterJournal(sent)))
      const force = { force: true }
      const results = await Promise.all([
        open().recover('box', force),
        open().recover('box', force),
      ])
      t.notOk(results.flat().some(({ outcome }) => outcome === 'conflict'))
      await open().recover('box', force)
      t.equal(sorted(await remoteFiles(open(), 'box')), all)
      t.same(await journals(store), [])
    }
    const { store, open } = await account(kind)
    await plant(open())
    let recovered: Promise<unknown> = Promise.resolve()
    let writes = 0
    const said = await transact(
      open(async (verb, send) => {
        if (verb === 'commitBlocks' && ++writes === 2) {
          recovered = open().recover('box', { force: true })
        }
        return send()
      }),
    )
    await recovered
    t.comment(`the first said ${said}`)
    t.equal(sorted(await remoteFiles(open(), 'box')), all)
    t.same(await journals(store), [])
  })

  t.test(`what somebody else wrote after a ${kind} client died stays`, async (t) => {
    const { clock, open } = await account(kind)
    await plant(open())
    await transact(open(dyingAfterJournal(1)))
    await clock.advance(61_000)
    await open().writeText('box/kept', 'theirs')

    const results = await open().recover('box')

    t.match(results, [{ kind: 'transaction', outcome: 'conflict', conflicts: [at('kept')] }])
    const files = await remoteFiles(open(), 'box')
    t.match(files, { ...after, kept: 'theirs', from: 'moved', 'dir/old': 'goes', 'tree/x': 'x' })
    t.same(await open().recover('box'), [])
  })

  t.test(`what was written anew after a ${kind} client died is not deleted`, async (t) => {
    const { clock, open } = await account(kind)
    await plant(open())
    await transact(open(dyingAfterJournal(1)))
    await clock.advance(61_000)
    await open().pipe({
      'box/dir/old': Buffer.from('again'),
      'box/from': Buffer.from('another'),
      'box/tree/z': Buffer.from('z'),
    })

    const results = await open().recover('box')

    t.match(results, [{ outcome: 'conflict', files: 6, removals: 3 }])
    t.strictSame(await remoteFiles(open(), 'box'), {
      ...after,
      'dir/old': 'again',
      from: 'another',
      'tree/x': 'x',
      'tree/deep/y': 'y',
      'tree/z': 'z',
    })
  })

  t.test(
    `a ${kind} transaction that the network cut is finished, and left while it is young`,
    async (t) => {
      const { clock, open, store } = await account(kind)
      await plant(open())
      let cuts = 0
      const cut: Between = (verb, send) => {
        if (verb !== 'commitBlocks' || ++cuts > 1) return send()
        throw new FileSystemError('EIO', 'blob.request', { detail: 'cut', retryable: true })
      }
      t.notOk(await transact(open(cut)))
      t.match(await open().recover('box'), [{ kind: 'transaction', outcome: 'left' }])
      await clock.advance(61_000)
      t.match(await open().recover('box'), [{ outcome: 'completed', files: 6, removals: 3 }])
      t.equal(sorted(await remoteFiles(open(), 'box')), all)
      t.same(await journals(store), [])
    },
  )
}

t.test('a file that was committed and changed since is not committed again', async (t) => {
  const { clock, store, open } = await account('flat')
  const tx = open((verb, send, [path]) => {
    if (verb === 'commitBlocks' && JSON.stringify(path).includes('"b"')) {
      throw new FileSystemError('EIO', 'blob.request', { detail: 'dead' })
    }
    return send()
  }).startTransaction()
  await tx.writeText('box/a', 'ours')
  await tx.writeText('box/b', 'too')
  await t.rejects(tx.commit(), { code: 'EIO' })
  const { etag, blocks } = await store.getBlocks(at('a'))
  const id = Buffer.alloc(16, 7).toString('base64')
  await store.stageBlock(at('a'), id, Buffer.from(', and theirs'))
  await store.commitBlocks(at('a'), [...blocks.map((block) => block.id), id], { ifMatch: etag })
  await clock.advance(61_000)

  t.match(await open().recover('box'), [{ outcome: 'completed', files: 2 }])

  t.strictSame(await remoteFiles(open(), 'box'), { a: 'ours, and theirs', b: 'too' })
})

t.test('recovery deletes no file that a deleted directory hid, and tells of it', async (t) => {
  for (const sent of [1, 2, 3]) {
    const { clock, store, open } = await account('flat')
    const fs = open()
    await fs.pipe({ 'box/d/x': Buffer.from('x'), 'box/f': Buffer.from('f') })
    await store.put(at('d'), Buffer.from('hidden'))
    const tx = open(dyingAfterJournal(sent)).startTransaction()
    await tx.rm(['box/d', 'box/f'], { recursive: true })
    await t.rejects(tx.commit(), { code: 'EIO' })
    await clock.advance(61_000)

    t.match(await open().recover('box'), [{ outcome: 'conflict', conflicts: [at('d')] }])

    t.strictSame(await remoteFiles(open(), 'box'), { d: 'hidden' })
    t.same(await open().recover('box'), [])
  }
})

t.test('conditions that were given hold for the recovery, too', async (t) => {
  const { clock, store, open } = await account('flat')
  const fs = open()
  const { etag } = await fs.writeText('box/matched', 'one')
  const tx = open(dyingAfterJournal(1)).startTransaction()
  await tx.writeText('box/matched', 'two', { ifMatch: etag })
  await tx.writeText('box/new', 'new')
  await t.rejects(tx.commit())
  await store.setMetadata(at('matched'), { touched: 'yes' })
  await clock.advance(61_000)

  t.match(await fs.recover('box'), [{ outcome: 'conflict', conflicts: [at('matched')] }])
  t.equal(await open().readText('box/matched'), 'one')
  t.equal(await open().readText('box/new'), 'new')
})

t.test(
  'a journal is two requests, none for one change, and none where it is refused',
  async (t) => {
    const { open } = await account('flat')
    const seen: string[] = []
    const counted: Between = (verb, send, [path]) => {
      seen.push(`${verb}${JSON.stringify(path).includes('.abfs/') ? ' journal' : ''}`)
      return send()
    }
    const counts = () => {
      const found: Record<string, number> = {}
      for (const verb of seen.splice(0)) found[verb] = (found[verb] ?? 0) + 1
      return found
    }
    const tx = open(counted).startTransaction()
    for (const name of 'abcde') await tx.writeText(`box/${name}`, name)
    counts()
    await tx.commit()
    t.strictSame(counts(), {
      stageBlock: 5,
      'put journal': 1,
      commitBlocks: 5,
      'delete journal': 1,
    })

    const single = open(counted).startTransaction()
    await single.writeText('box/a', 'again')
    counts()
    await single.commit()
    t.strictSame(counts(), { put: 1 })

    const refused: Between = (_, send, [path]) => {
      if (!JSON.stringify(path).includes('.abfs/')) return send()
      throw new FileSystemError('EACCES', 'blob.put', { detail: 'not below your prefix' })
    }
    await open(refused).transaction(async (tx) => {
      await tx.pipe({ 'box/p': Buffer.from('p'), 'box/q': Buffer.from('q') })
    })
    t.match(await remoteFiles(open(), 'box'), { a: 'again', p: 'p', q: 'q' })
  },
)

t.test(
  'a small file that is locked is written in a transaction on a hierarchical account',
  async (t) => {
    const { open, store } = await account('hierarchical')
    const fs = open()
    await fs.writeText('box/f', 'before')
    const tx = fs.startTransaction()
    await tx.writeText('box/f', 'after', { leaseId: 'of the caller' })
    await tx.writeText('box/g', 'g')
    await tx.commit()
    t.strictSame(await remoteFiles(fs, 'box'), { f: 'after', g: 'g' })
    t.same(await journals(store), [])
  },
)

t.test('on the wire: a killed transaction is finished by another client', async (t) => {
  const sandbox = await startSandbox({ containers: ['box'] })
  t.teardown(() => sandbox.close())
  const { account, accountKey, blobEndpoint, caFile } = sandbox
  await using fs = await createFileSystem({
    account,
    blobEndpoint: blobEndpoint.href,
    caFile,
    hns: false,
    credential: keySignatures(account, accountKey, systemClock),
    environment: {},
  })
  const { store }: Remote = Reflect.get(fs, 'remote')
  for (const sent of [1, 2, 4, 7, 8]) {
    await plant(fs)
    const dying = through(store, dyingAfterJournal(sent))
    t.notOk(await transact(new AzureBlobFileSystem({ store: dying, blockBytes: 4 * KiB })))
    const results = await fs.recover('box', { force: true })
    t.match(results, [{ kind: 'transaction', outcome: 'completed', files: 6, removals: 3 }])
    fs.invalidateCache()
    t.equal(sorted(await remoteFiles(fs, 'box')), all, `${sent} requests`)
    t.same(await fs.recover('box', { force: true }), [])
    await fs.rm('box/*', { recursive: true })
  }
})

t.test('a journal that is none is told, and nothing is done', async (t) => {
  const { store, open } = await account('flat')
  const bad = [
    'no journal',
    '{"files":[],"removals":[{"path":{"container":"box","name":".abfs/renames/x"}}]}',
    '{"files":[],"removals":[{"path":{"container":"box","name":""},"isTree":true}]}',
    '{"files":[{"path":{"container":"box","name":"a/../b"},"blockIds":[],"sizeBytes":0}],"removals":[]}',
  ]
  await open().writeText('box/f', 'f')
  for (const [index, text] of bad.entries()) {
    await store.put(at(`.abfs/transactions/${index}`), Buffer.from(text))
  }
  const results = await open().recover('box', { force: true })
  t.strictSame(
    results.map(({ outcome, error }) => [outcome, error?.code]),
    bad.map(() => ['failed', 'EIO']),
  )
  t.strictSame(await remoteFiles(open(), 'box'), { f: 'f' })
})

/** Lets so many requests through from the journal on, that included. */
function dyingAfterJournal(sent: number): Between {
  let left = Number.POSITIVE_INFINITY
  return (_, send, [path]) => {
    if (left === Number.POSITIVE_INFINITY && JSON.stringify(path)?.includes('.abfs/tr')) left = sent
    if (left-- > 0) return send()
    throw new FileSystemError('EIO', 'blob.request', { detail: 'this client is dead' })
  }
}
