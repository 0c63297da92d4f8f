import t from 'tap'
import * as abfs from '../src/index.ts'
import { FileSystems } from '../src/index.ts'

/* As programs without types call what is exported, and settings out of files do. */

type Untyped = (...given: unknown[]) => unknown
const exported: Readonly<Record<string, unknown>> = { ...abfs }

function call(name: string): Untyped {
  return (...given) => {
    const found = exported[name]
    if (typeof found !== 'function') throw new Error(`no function ${name}`)
    return Reflect.apply(found, undefined, given)
  }
}

function method(name: keyof FileSystems): Untyped {
  const all = new FileSystems()
  return (...given) => Reflect.apply(all[name] as Untyped, all, given)
}

const secret = 'hunter2'
const signed = `https://acct.blob.core.windows.net/box?sig=${secret}`
const login = `https://user:${secret}@acct.blob.core.windows.net/box`
const place = 'abfs://box@acct.dfs.core.windows.net/f'
const lists = [signed, login, [secret], { secret }]
const noText = [null, 5, Number.NaN, true, [], {}, Symbol.iterator]
const noObject = [null, 5, Number.NaN, 'text', signed, [], ['recursive']]
const noFunction = [undefined, null, 5, {}, 'text', signed]
const own = { environment: { ABFS_ACCOUNT: 'acct' } }
const given = { ...own, credential: abfs.sasProvider(() => ({ sas: `sig=${secret}` })) }

/** The call, what is given in the place that `argument` names, and what the error says is at fault. */
type Row = readonly [
  title: string,
  argument: string,
  values: readonly unknown[],
  run: (value: unknown) => unknown,
]

const rows: readonly Row[] = [
  [
    'FileSystems.open',
    'url',
    [undefined, ...noText, '', signed, login],
    (url) => method('open')(url, 'r', given),
  ],
  ['FileSystems.open', 'options', noObject, (options) => method('open')(place, 'r', options)],
  ['FileSystems.open', 'mode', [...noObject, {}], (mode) => method('open')(place, mode, given)],
  ...(['get', 'resolve', 'filesystem', 'urlToFs'] as const).flatMap((name): Row[] => [
    [
      `FileSystems.${name}`,
      'url',
      [undefined, ...noText, '', signed, login],
      (url) => method(name)(url, given),
    ],
    [`FileSystems.${name}`, 'options', noObject, (options) => method(name)(place, options)],
  ]),
  [
    'fromUrl',
    'url',
    [undefined, ...noText, '', ' ', signed, login, 's3://box/f'],
    (url) => call('fromUrl')(url, given),
  ],
  ['fromUrl', 'options', noObject, (options) => call('fromUrl')(place, options)],
  ['parseAzureUrl', '', [undefined, ...noText, signed, login], call('parseAzureUrl')],
  [
    'fromConnectionString',
    'connection string',
    [undefined, ...noText, '', secret, signed],
    call('fromConnectionString'),
  ],
  ['fromJSON', 'recipe', [undefined, ...noObject, []], call('fromJSON')],
  ['createFileSystem', 'options', noObject, call('createFileSystem')],
  ['createTokenCredential', 'options', noObject, call('createTokenCredential')],
  [
    'createTokenCredential',
    'container',
    [...noText, ''],
    (container) => call('createTokenCredential')({ ...own, container }),
  ],
  [
    'createTokenCredential',
    'permissions',
    [null, 5, 'read', [], ['all'], ...lists],
    (permissions) => call('createTokenCredential')({ ...own, permissions }),
  ],
  [
    'createTokenCredential',
    'environment',
    noObject,
    (environment) => call('createTokenCredential')({ environment }),
  ],
  [
    'fromStorageOptions',
    'options',
    [undefined, ...noObject, []],
    (options) => call('fromStorageOptions')(options, own),
  ],
  ...[
    'account_name',
    'account_key',
    'connection_string',
    'sas_token',
    'client_id',
    'account_host',
  ].map(
    (name): Row => [
      'fromStorageOptions',
      name,
      [...noText, ''],
      (value) => call('fromStorageOptions')({ account_name: 'acct', [name]: value }, own),
    ],
  ),
  [
    'fromStorageOptions',
    'listings_expiry_time',
    ['5', Number.NaN, -1, [], signed],
    (value) =>
      call('fromStorageOptions')({ account_name: 'acct', listings_expiry_time: value }, own),
  ],
  [
    'fromStorageOptions',
    '--account',
    [signed, login],
    (value) => call('fromStorageOptions')({ account_name: value }, own),
  ],
  [
    'FileSystems.register',
    'protocol',
    [undefined, ...noText, '', 'La ke', signed, login],
    (protocol) => method('register')(protocol, () => undefined),
  ],
  ['FileSystems.register', 'loader', noFunction, (loader) => method('register')('lake', loader)],
  [
    'FileSystems.register',
    'options',
    noObject,
    (options) => method('register')('lake', () => undefined, options),
  ],
  [
    'a loader',
    'lake',
    [undefined, null, 5, {}, signed],
    async (made) => {
      const all = new FileSystems()
      Reflect.apply(all.register, all, ['lake', () => made])
      return all.resolve('lake://box/f', own)
    },
  ],
  ['sasProvider', 'renew', noFunction, call('sasProvider')],
  ['callbackToken', 'callback', noFunction, call('callbackToken')],
  ['staticToken', 'token', [undefined, ...noText, ''], call('staticToken')],
  [
    'fromTokenCredential',
    'credential',
    [undefined, ...noText, signed, { getToken: 5 }],
    call('fromTokenCredential'),
  ],
  [
    'sync',
    'source',
    [undefined, ...noText, signed, { fs: {} }, { path: 'x' }],
    (side) => call('sync')(side, { local: '/' }),
  ],
  ['sync', 'target', [undefined, ...noText, signed], (side) => call('sync')({ local: '/' }, side)],
  ...['splitPath', 'parentPath', 'stripProtocol', 'unstripProtocol'].map(
    (name): Row => [name, '', [undefined, ...noText, signed, login], call(name)],
  ),
  [
    'a cache',
    'maxBytes',
    [-1, 1.5, Number.NaN, '1', signed],
    (cacheMaxBytes) =>
      method('resolve')(`simplecache::${place}`, {
        ...given,
        cacheStorage: '/nowhere',
        cacheMaxBytes,
      }),
  ],
  [
    'a cache',
    'directory',
    [5, '', {}, null],
    (cacheStorage) => method('resolve')(`simplecache::${place}`, { ...given, cacheStorage }),
  ],
]

/** What Node and V8 say of what they were not meant to be given. */
const raw =
  /Cannot (read|destructure|convert|use)|is not (a function|iterable|a constructor)|The ".*" argument|Invalid URL|ERR_INVALID/

for (const [title, argument, values, run] of rows) {
  t.test(
    `${title} says what is wrong with ${argument === '' ? 'what it is given' : argument}`,
    async (t) => {
      for (const value of values) {
        const what = typeof value === 'symbol' ? 'a symbol' : (JSON.stringify(value) ?? 'undefined')
        const error = await Promise.resolve()
          .then(() => run(value))
          .then(
            () => undefined,
            (thrown: unknown) => thrown,
          )
        if (!(error instanceof Error)) {
          t.fail(`${what} is taken`)
          continue
        }
        t.ok(
          ['FileSystemError', 'TypeError', 'RangeError'].includes(error.name),
          `${what}: ${error.name}`,
        )
        t.notMatch(error.message, raw, what)
        t.notMatch(error.message, secret, what)
        const at =
          error instanceof abfs.FileSystemError ? (error.path ?? '') : error.message.split(':')[0]
        if (argument !== '') t.equal(at, argument, `${what}: ${error.message}`)
      }
    },
  )
}
