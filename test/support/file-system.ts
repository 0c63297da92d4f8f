import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { HierarchyOf } from '../../src/blob/hierarchy.ts'
import { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { ReplacingBlobStore } from '../../src/blob/replacing-store.ts'
import type { BlobStore } from '../../src/blob/store.ts'
import { KiB } from '../../src/byte-range.ts'
import {
  AzureBlobFileSystem,
  type AzureBlobFileSystemOptions,
} from '../../src/filesystem/azure-blob-file-system.ts'
import { FakeClock } from './fake-clock.ts'

/** An account that `memoryFileSystem` stands on. */
export interface AccountParts {
  readonly store: BlobStore
  readonly hierarchyOf: HierarchyOf
}

/**
 * From here on every `memoryFileSystem` stands on an account that `make` makes, such as a
 * hierarchical one. For files that run suites again.
 */
export function useAccounts(make: (clock: FakeClock) => Promise<AccountParts>): void {
  makeAccount = make
}

let makeAccount: ((clock: FakeClock) => Promise<AccountParts>) | undefined

/** A hierarchical account in memory. */
export async function hierarchicalMemory(clock: FakeClock): Promise<AccountParts> {
  const account = new MemoryHierarchicalStore({ account: 'acct', clock })
  const hierarchyOf = async () => account.hierarchy
  return { store: new ReplacingBlobStore(account, hierarchyOf), hierarchyOf }
}

/** A file system in memory with an empty container `box`; blocks are small so that many are used. */
export async function memoryFileSystem(
  options: Partial<AzureBlobFileSystemOptions> = {},
): Promise<{ readonly fs: AzureBlobFileSystem; readonly store: BlobStore }> {
  const clock = new FakeClock()
  const blockBytes = options.blockBytes ?? 64 * KiB
  const made = options.store === undefined ? await makeAccount?.(clock) : undefined
  const store = made?.store ?? options.store ?? new MemoryBlobStore({ account: 'acct', clock })
  const hierarchyOf = made?.hierarchyOf
  await store.createContainer('box')
  return {
    fs: new AzureBlobFileSystem({ ...options, store, hierarchyOf, clock, blockBytes }),
    store,
  }
}

/** Writes files given by name below a remote directory; `undefined` makes an empty directory. */
export async function plantRemote(
  fs: AzureBlobFileSystem,
  root: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, text] of Object.entries(files)) await fs.writeText(`${root}/${name}`, text)
}

/** Writes files given by name below a local directory. */
export async function plantLocal(
  root: string,
  files: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true })
    await writeFile(join(root, name), text)
  }
}

/** The files below a remote directory: name, relative to it, to text. */
export async function remoteFiles(
  fs: AzureBlobFileSystem,
  root: string,
): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const { name } of await fs.find(root)) {
    files[name.slice(root.length + 1)] = await fs.readText(name)
  }
  return files
}

/** The files below a local directory: name, relative to it, to text; hidden ones too. */
export async function localFiles(root: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {}
  for (const entry of await readdir(root, { withFileTypes: true, recursive: true })) {
    if (entry.isDirectory()) continue
    const path = join(entry.parentPath, entry.name)
    files[path.slice(root.length + 1)] = await readFile(path, 'utf8')
  }
  return files
}

/** A directory of this test's own, gone at its end. */
export async function temporaryDirectory(t: {
  teardown(done: () => Promise<void>): void
}): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'abfs-test-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}
