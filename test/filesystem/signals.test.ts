import { Readable, Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { FormerFile } from '../../src/filesystem/former-file.ts'
import * as abfs from '../../src/index.ts'
import { CountingStore } from '../support/counting-store.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type AbortableCall, abortableCalls } from '../support/public-calls.ts'

/* Which calls take a signal is read from the types: a new one that does not look at it fails here. */

type Untyped = (...given: unknown[]) => unknown

/** What the calls are called with, by the name of the argument. */
type Samples = Readonly<Record<string, unknown>>

interface SetUp {
  /** Of each class one, with what its arguments stand for. */
  readonly subjects: Readonly<Record<string, { readonly subject: object; readonly own: Samples }>>
  /** Requests since the last time. */
  readonly requests: () => readonly string[]
}

async function setUp(t: Test): Promise<SetUp> {
  const clock = new FakeClock()
  const store = new CountingStore(new MemoryBlobStore({ account: 'acct', clock }))
  const asked: string[] = []
  const administration = new Proxy(Object.create(null), {
    get: (_, name) => () => {
      asked.push(String(name))
      throw new Error('the administration was asked')
    },
  })
  const fs = new abfs.AzureBlobFileSystem({ store, administration, clock })
  await fs.mkdir('box')
  for (const name of ['h', 'a/f']) await fs.writeText(`box/t/${name}`, name)
  const localPath = `${t.testdir({ file: 'text' })}/file`
  const inner = { path: 'h', paths: 'h', from: 'h', to: 'new', source: 'h', target: 'new' }
  const outer = Object.fromEntries(Object.entries(inner).map(([n, v]) => [n, `box/t/${v}`]))
  const common = { ...samples, localPath, local: localPath }
  const placed = { ...common, ...outer, remotePath: 'box/t/h', a: 'box/t/h', b: 'box/t/h' }
  const requests = [{ path: 'box/t/h' }]
  const whole = {
    ...placed,
    requests,
    pattern: 'box/t/*',
    container: 'box',
    files: { 'box/t/n': 'n' },
  }
  const part = {
    ...common,
    ...inner,
    remotePath: 'h',
    a: 'h',
    b: 'h',
    requests: [{ path: 'h' }],
    pattern: '*',
    files: { n: 'n' },
  }
  const node = fs.asNodeFs()
  const former = new FormerFile({
    store,
    path: { container: 'box', name: 't/h' },
    former: { versionId: '1' },
    sizeBytes: 1,
  })
  const source = async () => {
    asked.push('token')
    return { token: 'token', expiresAtMs: Number.MAX_SAFE_INTEGER }
  }
  const root = 'abfs://box/artifacts'
  const fileSystem = fs
  const all: Record<string, readonly [object, Samples]> = {
    AzureBlobFileSystem: [fs, whole],
    DirFileSystem: [fs.sub('box/t'), part],
    BlobMap: [fs.getMapper('box/t'), common],
    Transaction: [fs.startTransaction(), whole],
    NodeFileSystem: [node, { ...common, path: '/box/t/h' }],
    LocalFileCache: [new abfs.LocalFileCache({ fs, directory: t.testdir() }), whole],
    AzureArtifactStore: [new abfs.AzureArtifactStore({ fileSystem, root }), common],
    BlobFileReader: [await fs.open('box/t/h'), { ...common, target: new Uint8Array(1) }],
    FormerFile: [former, common],
    NodeFileHandle: [await node.open('/box/t/h'), common],
    MultiScopeTokenProvider: [new abfs.MultiScopeTokenProvider({ source }), common],
    '': [abfs, { source: { fs, path: 'box/t' }, target: { fs, path: 'box/u' } }],
  }
  store.take()
  return {
    subjects: Object.fromEntries(
      Object.entries(all).map(([name, [subject, own]]) => [name, { subject, own }]),
    ),
    requests: () => [...store.take(), ...asked.splice(0)],
  }
}

const samples: Samples = {
  acl: 'user::rwx,group::r-x,other::---',
  data: 'data',
  delimiter: '\n',
  entries: [['k', new Uint8Array(1)]],
  expiry: { kind: 'never' },
  expression: '"a" = \'b\'',
  former: { versionId: '1' },
  key: 'a/f',
  keys: ['a/f'],
  length: 1,
  metadata: { a: 'b' },
  name: 'name',
  prefix: '',
  owners: { owner: 'o' },
  read: async () => undefined,
  change: () => 'changed',
  scope: { account: 'acct', service: 'blob', permissions: ['read'] },
  settings: { contentType: 'text/plain' },
  size: 1,
  tags: { a: 'b' },
  text: 'text',
  tier: 'Hot',
  value: new Uint8Array(1),
  values: { a: 'b' },
}

/** Arguments that mean something else in one call. */
const special: Readonly<Record<string, (samples: Samples) => Samples>> = {
  chmod: () => ({ mode: 0o750 }),
  sizes: ({ path }) => ({ paths: [path] }),
  open: () => ({ mode: 'r' }),
  openAs: () => ({ mode: 'r' }),
  'Transaction.open': () => ({ mode: 'w' }),
  get: ({ localPath }) => ({ target: `${localPath}.new` }),
  download: ({ localPath }) => ({ target: `${localPath}.new` }),
  put: ({ localPath }) => ({ source: localPath }),
  upload: ({ localPath }) => ({ source: localPath }),
  plan: ({ localPath }) => ({ operation: 'put', source: localPath }),
  'AzureArtifactStore.save': ({ localPath }) => ({ source: localPath }),
}

function argumentsOf({ owner, name, parameters }: AbortableCall, own: Samples): unknown[] {
  const isRemoval = name === 'plan' && parameters.length === 2
  const removal = isRemoval ? { operation: 'rm' } : {}
  const more = { ...special[name]?.(own), ...special[`${owner}.${name}`]?.(own), ...removal }
  const known: Samples = { ...own, ...more }
  return parameters.map((parameter) => {
    if (!(parameter in known)) throw new Error(`what is ${parameter} of ${owner}.${name}?`)
    return known[parameter]
  })
}

/** What became of a call: its promise, the first step of its generator, the end of its stream. */
async function outcomeOf(run: () => unknown): Promise<unknown> {
  try {
    const made = run()
    if (made instanceof Readable || made instanceof Writable) {
      return await new Promise((resolve) => made.on('error', resolve).on('close', resolve))
    }
    const isLoop = typeof made === 'object' && made !== null && Symbol.asyncIterator in made
    if (isLoop) await (made as AsyncIterable<unknown>)[Symbol.asyncIterator]().next()
    else await made
    return undefined
  } catch (error) {
    return error
  }
}

function runOf(call: AbortableCall, { subjects }: SetUp, options: unknown): () => unknown {
  const found = subjects[call.owner]
  if (found === undefined) throw new Error(`there is no ${call.owner} to call ${call.name} of`)
  const method = Reflect.get(found.subject, call.name) as Untyped
  return () => Reflect.apply(method, found.subject, [...argumentsOf(call, found.own), options])
}

const calls = abortableCalls()
const wrong = [5, null, 'now', true, {}, new AbortController(), { aborted: false }]

t.test('the calls that take a signal are found', async (t) => {
  const names = calls.map(({ owner, name }) => `${owner}.${name}`)
  for (const name of ['AzureBlobFileSystem.ls', 'DirFileSystem.put', 'BlobMap.get', '.sync'])
    t.ok(names.includes(name), name)
  t.ok(names.length > 200, String(names.length))
})

// Nothing is done: one account serves all.
const parts = await setUp(t)

for (const call of calls) {
  const title = `${call.owner === '' ? '' : `${call.owner}.`}${call.name}`
  t.test(`${title} (${call.parameters.join(', ')}) looks at its signal first`, async (t) => {
    for (const signal of wrong) {
      const error = await outcomeOf(runOf(call, parts, { signal }))
      const what = `${String(signal)}: ${String(error)}`
      if (!(error instanceof Error)) return void t.fail(what)
      t.match(error, { name: 'TypeError', code: 'EINVAL' }, what)
      t.match(error.message, /^signal: expected an AbortSignal, got .+; give the /, what)
    }
    for (const options of [5, null, 'now']) {
      if (options !== 5 && call.owner.startsWith('Node')) continue // As Node takes them.
      const error = await outcomeOf(runOf(call, parts, options))
      const what = `${String(options)}: ${String(error)}`
      if (!(error instanceof Error)) return void t.fail(what)
      t.equal(error.name, 'TypeError', what)
      t.match(error.message, /^options: expected /, what)
    }
    const reason = new Error('stop')
    const error = await outcomeOf(runOf(call, parts, { signal: AbortSignal.abort(reason) }))
    const told = error instanceof Error && error.name === 'AbortError' ? error.cause : error
    t.equal(told, reason, String(error))

    t.strictSame(parts.requests(), [], 'nothing was asked for')
  })
}
