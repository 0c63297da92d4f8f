import assert from 'node:assert/strict'

/** What a listing tells of one name. */
export interface ListedFile {
  /** The whole path, without scheme and trailing slash. */
  readonly name: string
  readonly type: string
  /** Bytes. */
  readonly size: number
}

/**
 * The verbs that are tested. Errors have errno names as `code`. `AzureBlobFileSystem` is one.
 */
export interface ConformanceFileSystem {
  /** The children of a directory by name; a file's own entry. */
  ls(path: string): Promise<readonly ListedFile[]>
  /** Files below a directory by name. */
  find(path: string): Promise<readonly ListedFile[]>
  /** What matches a pattern, by name. */
  glob(pattern: string): Promise<readonly ListedFile[]>
  /** `ENOENT` when nothing has that name. */
  info(path: string): Promise<ListedFile>
  /** Whether anything has that name. */
  exists(path: string): Promise<boolean>
  /** The bytes `[start, end)`; negative ones count from the end. */
  catFile(
    path: string,
    options?: { readonly start?: number; readonly end?: number },
  ): Promise<Uint8Array>
  /** Makes bytes the file; `create` is `EEXIST` when there is one. */
  pipeFile(
    path: string,
    data: Uint8Array,
    options?: { readonly mode?: 'overwrite' | 'create' },
  ): Promise<unknown>
  /** Copies by fsspec's rules of what lands where. */
  copy(source: string, target: string, options?: { readonly recursive?: boolean }): Promise<unknown>
  /** Renames a file or directory. */
  mv(from: string, to: string): Promise<void>
  /** Deletes a file, or (`recursive`) a directory. */
  rm(path: string, options?: { readonly recursive?: boolean }): Promise<unknown>
  /** Makes a directory with those above it. */
  makedirs(path: string, options?: { readonly existOk?: boolean }): Promise<void>
}

/** One thing that a file system has to do. */
export interface ConformanceCase {
  /** A sentence of behaviour; no two are the same. */
  readonly title: string
  /** Rejects when `fs` does not do it. `root` is an empty directory for this case alone. */
  run(fs: ConformanceFileSystem, root: string): Promise<void>
}

/** Writes files given by name below `root`; their content is their name. */
export async function plant(
  fs: ConformanceFileSystem,
  root: string,
  names: readonly string[],
): Promise<void> {
  for (const name of names) await fs.pipeFile(`${root}/${name}`, Buffer.from(name))
}

/** Demands exactly these names below `root`, in this order. */
export function demandNames(
  root: string,
  found: readonly ListedFile[],
  expected: readonly string[],
): void {
  assert.deepEqual(
    found.map(({ name }) => name),
    expected.map((name) => `${root}/${name}`),
  )
}

/** Demands that `work` rejects with an errno name. */
export async function demandCode(work: Promise<unknown>, ...codes: string[]): Promise<void> {
  await assert.rejects(work, (error) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no code'
    assert.ok(codes.includes(code), `expected ${codes.join(' or ')}, got ${code}: ${error}`)
    return true
  })
}
