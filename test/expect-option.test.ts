import t from 'tap'
import * as abfs from '../src/index.ts'
import { memoryFileSystem } from './support/file-system.ts'

/** As a program without types calls it. */
type Untyped = new (options?: unknown) => unknown

const classes: Readonly<Record<string, unknown>> = { ...abfs }

function make(name: string, options: unknown): unknown {
  const made = classes[name]
  if (!isClass(made)) throw new TypeError(`no class ${name}`)
  return new made(options)
}

function isClass(value: unknown): value is Untyped {
  return typeof value === 'function'
}

t.test('constructors name the option that they cannot use', async (t) => {
  const { fs } = await memoryFileSystem()
  const directory = t.testdir()
  const rows: readonly [string, unknown, 'TypeError' | 'RangeError', RegExp][] = [
    ['LocalFileCache', undefined, 'TypeError', /^options: expected \{ fs, directory \}/],
    ['LocalFileCache', { directory }, 'TypeError', /^fs: expected an AzureBlobFileSystem/],
    ['LocalFileCache', { fs: {}, directory }, 'TypeError', /^fs: /],
    ['LocalFileCache', { fs }, 'TypeError', /^directory: expected a directory's name, got undef/],
    ['LocalFileCache', { fs, directory: '' }, 'TypeError', /^directory: .* got ""/],
    ['LocalFileCache', { fs, directory, maxBytes: -1 }, 'RangeError', /^maxBytes: .* got -1/],
    ['LocalFileCache', { fs, directory, maxBytes: '1' }, 'RangeError', /^maxBytes: /],
    ['LocalFileCache', { fs, directory, expiryMs: Number.NaN }, 'RangeError', /^expiryMs: /],
    ['DiskCache', undefined, 'TypeError', /^options: expected \{ directory \}/],
    ['DiskCache', {}, 'TypeError', /^directory: /],
    ['DiskCache', { directory: 7 }, 'TypeError', /^directory: .* got 7/],
    ['DiskCache', { directory, maxBytes: -1 }, 'RangeError', /^maxBytes: /],
    ['DiskCache', { directory, maxBytes: 1.5 }, 'RangeError', /^maxBytes: /],
    ['AzureBlobFileSystem', undefined, 'TypeError', /^options: .*createFileSystem/],
    ['AzureBlobFileSystem', { account: 'a' }, 'TypeError', /^store: .*createFileSystem/],
    ['AzureArtifactStore', undefined, 'TypeError', /^options: /],
    ['AzureArtifactStore', { root: 'box' }, 'TypeError', /^fileSystem: /],
    ['AzureArtifactStore', { fileSystem: fs }, 'TypeError', /^root: /],
    ['MultiScopeTokenProvider', undefined, 'TypeError', /^options: expected \{ source \}/],
    ['MultiScopeTokenProvider', {}, 'TypeError', /^source: .*fromTokenCredential/],
  ]
  for (const [name, options, error, message] of rows) {
    t.throws(() => make(name, options), { name: error, message }, `${name} ${message}`)
  }
})

t.test('limits that can be meant are taken', async (t) => {
  const { fs } = await memoryFileSystem()
  const directory = t.testdir()
  t.ok(make('LocalFileCache', { fs, directory, maxBytes: 1, expiryMs: Number.POSITIVE_INFINITY }))
  t.ok(make('DiskCache', { directory, maxBytes: 0 }))
})
