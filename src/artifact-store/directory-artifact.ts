import { readlink, stat, symlink } from 'node:fs/promises'
import { posix } from 'node:path'
import { forEachConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import type { AzureBlobFileSystem } from '../filesystem/azure-blob-file-system.ts'
import { onLocalDisk } from '../filesystem/local-error.ts'
import { type LocalEntry, LocalView } from '../filesystem/local-view.ts'
import { relativeName } from '../filesystem/tree-view.ts'
import { makeDirectories } from '../make-directories.ts'
import { collectPages } from '../turns.ts'
import { downloadHashed, type HashedOptions, localBytes, uploadHashed } from './hashed-transfer.ts'
import type { Manifest, ManifestFile } from './manifest.ts'

// A directory is saved in this order:
// 1. Its files go below a name that nothing refers to, hashed on their way.
// 2. The manifest, one blob, replaces the former one: at that moment the artifact is the new one.
// 3. What the former manifest referred to is deleted.
// Whatever ends a save earlier leaves files that no manifest names, and the former artifact.

/** Files under way at once. */
const filesAtOnce = 8

/** What a local directory holds, each list by name. */
export interface DirectoryContent {
  readonly root: string
  readonly files: readonly LocalEntry[]
  readonly directories: readonly string[]
  readonly links: Manifest['links']
}

/** Lists a local directory. `EINVAL` for links that lead out of it, devices, sockets and pipes. */
export async function readLocalDirectory(
  root: string,
  signal: AbortSignal | undefined,
): Promise<DirectoryContent> {
  const files: LocalEntry[] = []
  const directories = new Set<string>()
  const links: { name: string; target: string }[] = []
  const view = new LocalView({ followLinks: false })
  for (const entry of await collectPages(view.listTree(root, { signal }))) {
    const name = relativeName(root, entry.name)
    directories.delete(posix.dirname(name))
    if (entry.type === 'file') files.push(entry)
    else if (entry.type === 'directory') directories.add(name)
    else links.push(await readLink(entry, name))
  }
  return { root, files, directories: [...directories], links }
}

/** Uploads the files below `generation` and returns the manifest that tells of them. */
export async function uploadDirectory(
  fileSystem: AzureBlobFileSystem,
  to: { readonly path: string; readonly generation: string },
  content: DirectoryContent,
  options: HashedOptions & { readonly onFile: () => void },
): Promise<Manifest> {
  const files: ManifestFile[] = []
  await forEachConcurrent(content.files, filesAtOnce, async (entry, index) => {
    const name = relativeName(content.root, entry.name)
    const path = `${to.path}/${to.generation}/${name}`
    const { mode } = await onLocalDisk(entry.name, () => stat(entry.name))
    const source = localBytes(entry.name)
    const digest = await uploadHashed(fileSystem, { path, mode: 'w' }, source, options)
    files[index] = { name, ...digest, mode: mode & 0o7777 }
    options.onFile()
  })
  const { directories, links } = content
  return { version: 1, generation: to.generation, files, directories: [...directories], links }
}

/** Writes what a manifest tells of into the empty local directory `local`; links come last. */
export async function downloadDirectory(
  fileSystem: AzureBlobFileSystem,
  from: { readonly path: string; readonly manifest: Manifest },
  local: string,
  options: HashedOptions & { readonly onFile: () => void },
): Promise<void> {
  const { path, manifest } = from
  checkManifest(path, manifest)
  const names = [...manifest.files, ...manifest.links].map(({ name }) => posix.dirname(name))
  for (const name of new Set([...names, ...manifest.directories])) {
    const directory = `${local}/${name}`
    await onLocalDisk(directory, () => makeDirectories(directory))
  }
  await forEachConcurrent(manifest.files, filesAtOnce, async (file) => {
    const source = { path: `${path}/${manifest.generation}/${file.name}`, expected: file }
    const target = { path: `${local}/${file.name}`, mode: file.mode }
    await downloadHashed(fileSystem, source, target, options)
    options.onFile()
  })
  for (const { name, target } of manifest.links) {
    await onLocalDisk(name, () => symlink(target, `${local}/${name}`))
  }
}

async function readLink(entry: LocalEntry, name: string): Promise<Manifest['links'][number]> {
  if (!entry.isLink) {
    throw new FileSystemError('EINVAL', 'artifact.save', {
      path: entry.name,
      detail: 'devices, sockets and pipes cannot be saved',
    })
  }
  const target = await onLocalDisk(entry.name, () => readlink(entry.name))
  if (staysInside(name, target)) return { name, target }
  throw new FileSystemError('EINVAL', 'artifact.save', {
    path: entry.name,
    dest: target,
    detail: 'a link that leads out of the directory cannot be saved',
  })
}

/** A manifest comes from storage, where others may write. */
function checkManifest(path: string, manifest: Manifest): void {
  const names = [...manifest.files, ...manifest.links].map(({ name }) => name)
  const leaving = [...names, ...manifest.directories].find((name) => !isInner(name))
  const link = manifest.links.find(({ name, target }) => !staysInside(name, target))
  const fault = leaving ?? link?.name
  if (fault === undefined) return
  throw new FileSystemError('EIO', 'artifact.load', {
    path,
    detail: `the manifest names ${JSON.stringify(fault)}, which leads out of the artifact`,
  })
}

function isInner(name: string): boolean {
  return !name.split('/').some((segment) => ['', '.', '..'].includes(segment))
}

function staysInside(name: string, target: string): boolean {
  if (posix.isAbsolute(target)) return false
  const end = posix.join(posix.dirname(name), target)
  return end !== '..' && !end.startsWith('../')
}
