import type { CallOptions } from '../blob/store.ts'
import { runAll } from '../bulk.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { expectCall, expectList, expectText, shown } from '../expect-option.ts'
import type { BlobPath } from '../path.ts'
import { catFile } from './cat.ts'
import { fullName, pathOf } from './file-info.ts'
import { pipeFile } from './pipe.ts'
import type { Remote } from './remote.ts'
import { removeFile } from './remove.ts'
import { joinName, relativeName } from './tree-view.ts'
import { find } from './walk.ts'

/**
 * The files below a directory as a map of bytes: keys are paths relative to it. Nothing is kept; each
 * call asks the account. A key that leaves the directory is `EINVAL`.
 */
export class BlobMap {
  /** The directory, as `container/path`. */
  readonly root: string
  readonly #remote: Remote

  constructor(remote: Remote, root: string) {
    this.#remote = remote
    this.root = root
  }

  /** The bytes of `key`; `undefined` when there is no such file. */
  async get(key: string, options: CallOptions = {}): Promise<Uint8Array | undefined> {
    expectCall(options)
    const path = this.#path(key)
    return ifAny(() => catFile(this.#remote, path, { signal: options.signal }))
  }

  /** Makes `value` the bytes of `key`. */
  async set(key: string, value: Uint8Array, options: CallOptions = {}): Promise<void> {
    expectCall(options)
    await pipeFile(this.#remote, this.#path(key), value, { signal: options.signal })
  }

  /** Whether `key` is a file. */
  async has(key: string, options: CallOptions = {}): Promise<boolean> {
    expectCall(options)
    const entry = await this.#remote.view.stat(fullName(this.#path(key)), options)
    return entry !== undefined && entry.type !== 'directory'
  }

  /** Deletes `key`; false when there was none. */
  async delete(key: string, options: CallOptions = {}): Promise<boolean> {
    expectCall(options)
    const path = this.#path(key)
    return (await ifAny(() => removeFile(this.#remote, path, options).then(() => true))) ?? false
  }

  /** All keys, in order. */
  async *keys(options: CallOptions = {}): AsyncGenerator<string, void> {
    expectCall(options)
    for (const { name } of await find(this.#remote.view, this.root, options)) {
      if (name !== this.root) yield relativeName(this.root, name)
    }
  }

  /** All keys with their bytes, in order; a file that goes meanwhile is left out. */
  async *entries(options: CallOptions = {}): AsyncGenerator<[string, Uint8Array], void> {
    expectCall(options)
    for await (const key of this.keys(options)) {
      const value = await this.get(key, options)
      if (value !== undefined) yield [key, value]
    }
  }

  /** How many keys there are. */
  async size(options: CallOptions = {}): Promise<number> {
    expectCall(options)
    return (await find(this.#remote.view, this.root, options)).length
  }

  /** The bytes of many keys; those that are missing are left out. */
  async getMany(
    keys: readonly string[],
    options: CallOptions = {},
  ): Promise<Map<string, Uint8Array>> {
    expectCall(options)
    expectList('keys', keys, 'keys')
    const values = await mapConcurrent(keys, this.#remote.concurrency, (key) =>
      this.get(key, options),
    )
    const found = new Map<string, Uint8Array>()
    for (const [index, key] of keys.entries()) {
      const value = values[index]
      if (value !== undefined) found.set(key, value)
    }
    return found
  }

  /** Sets many keys; each file appears whole. */
  async setMany(
    entries: Iterable<readonly [string, Uint8Array]>,
    options: CallOptions = {},
  ): Promise<void> {
    expectCall(options)
    if (!isIterable(entries))
      throw new TypeError(`entries: expected pairs of a key and its bytes, got ${shown(entries)}`)
    const pathOf = ([key]: readonly [string, Uint8Array]) => key
    await this.#each([...entries], { ...options, pathOf }, ([key, value]) =>
      this.set(key, value, options),
    )
  }

  /** Deletes many keys; those that are missing are no error. */
  async deleteMany(keys: readonly string[], options: CallOptions = {}): Promise<void> {
    expectCall(options)
    expectList('keys', keys, 'keys')
    await this.#each(keys, { ...options, pathOf: (key) => key }, async (key) => {
      await this.delete(key, options)
    })
  }

  /** Deletes all keys. */
  async clear(options: CallOptions = {}): Promise<void> {
    expectCall(options)
    const keys: string[] = []
    for await (const key of this.keys(options)) keys.push(key)
    await this.deleteMany(keys, options)
  }

  /** The same as {@link entries}. */
  [Symbol.asyncIterator](): AsyncGenerator<[string, Uint8Array], void> {
    return this.entries()
  }

  #each<T>(
    items: readonly T[],
    options: CallOptions & { readonly pathOf: (item: T) => string },
    work: (item: T) => Promise<void>,
  ): Promise<unknown> {
    const { concurrency } = this.#remote
    return runAll(items, { ...options, concurrency, syscall: 'map' }, work)
  }

  #path(key: string): BlobPath {
    if (key !== '') expectText('key', key, 'a relative path')
    const segments = key.split('/')
    const odd = segments.some((segment) => segment === '' || segment === '.' || segment === '..')
    if (!odd) return pathOf(joinName(this.root, key))
    const detail = 'a key is a relative path without empty, "." and ".." segments'
    throw new FileSystemError('EINVAL', 'map', { path: key, detail })
  }
}

function isIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

async function ifAny<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    if (isFileSystemError(error, 'ENOENT', 'EISDIR', 'ENOTDIR')) return undefined
    throw error
  }
}
