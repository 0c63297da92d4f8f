import { randomUUID } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { expectCall, expectMethod, expectOptions, expectText } from '../expect-option.ts'
import type { AzureBlobFileSystem } from '../filesystem/azure-blob-file-system.ts'
import type { FileInfo } from '../filesystem/file-info.ts'
import { onLocalDisk } from '../filesystem/local-error.ts'
import { localName } from '../filesystem/local-view.ts'
import { makeDirectories } from '../make-directories.ts'
import { formatPath } from '../path.ts'
import { faultChannel } from '../telemetry.ts'
import { type ArtifactRoot, artifactSegments, manifestName, parseRoot } from './artifact-path.ts'
import { bytesOf, isLocal, isLocalDirectory, refuseExisting } from './artifact-source.ts'
import type {
  ArtifactInfo,
  ArtifactOptions,
  ArtifactSource,
  ArtifactStore,
  LoadOptions,
  SaveOptions,
} from './artifact-store.ts'
import { downloadDirectory, readLocalDirectory, uploadDirectory } from './directory-artifact.ts'
import {
  checkDigest,
  type Digest,
  digestOf,
  downloadHashed,
  uploadHashed,
} from './hashed-transfer.ts'
import { formatManifest, type Manifest, parseManifest } from './manifest.ts'
import { SaveProgress } from './save-progress.ts'

export interface AzureArtifactStoreOptions {
  readonly fileSystem: AzureBlobFileSystem
  /** `abfs://container` or `abfs://container/prefix`. */
  readonly root: string | URL
}

/** An artifact as it stands in storage. */
interface Found {
  readonly info: ArtifactInfo
  readonly etag: string | undefined
}

/**
 * Artifacts in a container. A file is one blob at `root/name`, with its hash in metadata. A directory
 * is the files below `root/name/<generation>/` and the manifest `root/name/.artifact.json` that names
 * the generation and tells sizes and hashes: it is written last, so a save is seen whole or not at
 * all, and a replaced artifact stays until that moment. Other blobs below the root are left alone and
 * not shown. When two save the same name at once, one succeeds; the other gets `EEXIST` or `ESTALE`.
 */
export class AzureArtifactStore implements ArtifactStore {
  readonly #fileSystem: AzureBlobFileSystem
  readonly #root: ArtifactRoot

  /** `TypeError` that names the option. */
  constructor(options: AzureArtifactStoreOptions) {
    expectOptions(options, '{ fileSystem, root }')
    expectMethod('fileSystem', options.fileSystem, {
      method: 'getFile',
      wanted: 'an AzureBlobFileSystem',
    })
    if (!(options.root instanceof URL)) {
      expectText('root', options.root, 'abfs://container or abfs://container/prefix')
    }
    this.#fileSystem = options.fileSystem
    this.#root = parseRoot(options.fileSystem.account, options.root)
  }

  async save(
    name: string | URL,
    source: ArtifactSource,
    options: SaveOptions = {},
  ): Promise<ArtifactInfo> {
    expectCall(options)
    const place = this.#place(name)
    await this.#refuseNesting(place.segments, options)
    const existing = await this.#find(place, options)
    if (existing !== undefined && options.overwrite !== true) {
      throw new FileSystemError('EEXIST', 'artifact.save', {
        path: place.path,
        detail: 'there is an artifact of that name; ask for overwrite to replace it',
      })
    }
    const local = isLocal(source) ? localName(source).replace(/\/$/, '') : undefined
    const directory = local !== undefined && (await isLocalDirectory(local))
    const kind = directory ? 'directory' : 'file'
    if (existing !== undefined && existing.info.kind !== kind) await this.delete(name, options)
    const former = existing?.info.kind === kind ? existing : undefined
    if (directory) await this.#saveDirectory(place, local, { ...options, former })
    else await this.#saveFile(place, bytesOf(local ?? source), { ...options, former })
    return this.info(name, options)
  }

  async load(
    name: string | URL,
    localPath: string | URL,
    options: LoadOptions = {},
  ): Promise<ArtifactInfo> {
    expectCall(options)
    const place = this.#place(name)
    const info = await this.info(name, options)
    const local = localName(localPath).replace(/\/$/, '')
    if (options.overwrite !== true) await refuseExisting(local)
    const partial = join(dirname(local), `.${basename(local).slice(0, 40)}.${shortId()}.part`)
    try {
      if (info.kind === 'directory') await this.#loadDirectory(place, partial, info, options)
      else await this.#loadFile(place, partial, info, options)
      if (options.overwrite === true) await rm(local, { recursive: true, force: true })
      await onLocalDisk(local, () => rename(partial, local))
    } catch (error) {
      await rm(partial, { recursive: true, force: true })
      throw error
    }
    return info
  }

  async loadBytes(name: string | URL, options: ArtifactOptions = {}): Promise<Uint8Array> {
    expectCall(options)
    const place = this.#place(name)
    const info = await this.info(name, options)
    if (info.kind === 'directory') {
      throw new FileSystemError('EISDIR', 'artifact.load', { path: place.path })
    }
    const data = await this.#fileSystem.catFile(place.path, { signal: options.signal })
    checkDigest(place.path, digestOf(data), expectedDigest(info))
    return data
  }

  async list(prefix?: string | URL, options: ArtifactOptions = {}): Promise<ArtifactInfo[]> {
    expectCall(options)
    const path = prefix === undefined ? formatPath(this.#root) : this.#prefixPath(prefix)
    this.#fileSystem.invalidateCache(path)
    // What makes a blob an artifact is in its metadata.
    const blobs = await this.#fileSystem.find(path, { signal: options.signal, metadata: true })
    const found = blobs.map((blob) => this.#artifactOf(blob)).filter((info) => info !== undefined)
    return found.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)))
  }

  async info(name: string | URL, options: ArtifactOptions = {}): Promise<ArtifactInfo> {
    expectCall(options)
    const place = this.#place(name)
    const found = await this.#find(place, options)
    if (found !== undefined) return found.info
    throw new FileSystemError('ENOENT', 'artifact.info', {
      path: place.path,
      detail: 'no such artifact',
    })
  }

  async exists(name: string | URL, options: ArtifactOptions = {}): Promise<boolean> {
    expectCall(options)
    return (await this.#find(this.#place(name), options)) !== undefined
  }

  async delete(name: string | URL, options: ArtifactOptions = {}): Promise<void> {
    expectCall(options)
    const place = this.#place(name)
    const { kind } = await this.info(name, options)
    const call = { signal: options.signal, literal: true }
    if (kind === 'file') {
      await this.#fileSystem.rm(place.path, call)
      return
    }
    const manifest = await this.#manifest(place, options)
    await this.#fileSystem.rm(place.manifest, call)
    await this.#removeGeneration(place, manifest.generation, options)
    await this.#removeIfEmpty(place, options)
  }

  async #saveFile(
    place: Place,
    source: AsyncIterable<Uint8Array>,
    options: SaveOptions & { readonly former: Found | undefined },
  ): Promise<void> {
    const progress = new SaveProgress(options.onProgress, { bytes: 0, files: 1 })
    const metadataOf = ({ sha256 }: Digest) => ({ abfs_artifact: 'file', abfs_sha256: sha256 })
    const to = { path: place.path, mode: options.former === undefined ? 'x' : 'w' } as const
    const { signal } = options
    await uploadHashed(this.#fileSystem, to, source, {
      signal,
      metadataOf,
      onBytes: (bytes) => progress.addBytes(bytes),
    })
    progress.addFile()
  }

  async #saveDirectory(
    place: Place,
    local: string,
    options: SaveOptions & { readonly former: Found | undefined },
  ): Promise<void> {
    const { signal, former } = options
    const old = former === undefined ? undefined : await this.#manifest(place, options)
    const content = await readLocalDirectory(local, signal)
    const bytes = content.files.reduce((total, file) => total + file.size, 0)
    const progress = new SaveProgress(options.onProgress, { bytes, files: content.files.length })
    const generation = randomUUID().replaceAll('-', '')
    try {
      const to = { path: place.path, generation }
      const manifest = await uploadDirectory(this.#fileSystem, to, content, {
        signal,
        onBytes: (count) => progress.addBytes(count),
        onFile: () => progress.addFile(),
      })
      await this.#publish(place, manifest, { signal, former })
    } catch (error) {
      await this.#afterwards(async () => {
        await this.#removeGeneration(place, generation, {})
        if (former === undefined) await this.#removeIfEmpty(place, {})
      })
      throw error
    }
    if (old === undefined) return
    await this.#afterwards(() => this.#removeGeneration(place, old.generation, {}))
  }

  /** From here on the artifact is the new one, unless another save was faster. */
  async #publish(
    place: Place,
    manifest: Manifest,
    options: ArtifactOptions & { readonly former: Found | undefined },
  ): Promise<void> {
    const bytes = manifest.files.reduce((total, file) => total + file.sizeBytes, 0)
    await this.#fileSystem.pipeFile(place.manifest, formatManifest(manifest), {
      signal: options.signal,
      contentType: 'application/json',
      metadata: {
        abfs_artifact: 'directory',
        abfs_bytes: String(bytes),
        abfs_files: String(manifest.files.length),
      },
      ...(options.former === undefined
        ? { mode: 'create' }
        : { mode: 'overwrite', ifMatch: options.former.etag }),
    })
  }

  async #loadFile(
    place: Place,
    local: string,
    info: ArtifactInfo,
    options: LoadOptions,
  ): Promise<void> {
    const progress = new SaveProgress(options.onProgress, { bytes: info.sizeBytes, files: 1 })
    const source = { path: place.path, expected: expectedDigest(info) }
    const { signal } = options
    await onLocalDisk(local, () => makeDirectories(dirname(local)))
    await downloadHashed(
      this.#fileSystem,
      source,
      { path: local },
      {
        signal,
        onBytes: (bytes) => progress.addBytes(bytes),
      },
    )
    progress.addFile()
  }

  async #loadDirectory(
    place: Place,
    local: string,
    info: ArtifactInfo,
    options: LoadOptions,
  ): Promise<void> {
    const total = { bytes: info.sizeBytes, files: info.fileCount }
    const progress = new SaveProgress(options.onProgress, total)
    const manifest = await this.#manifest(place, options)
    await onLocalDisk(local, () => makeDirectories(local))
    await downloadDirectory(this.#fileSystem, { path: place.path, manifest }, local, {
      signal: options.signal,
      onBytes: (bytes) => progress.addBytes(bytes),
      onFile: () => progress.addFile(),
    })
  }

  /** The service is asked each time: a listing in memory could hide what others did. */
  async #find(place: Place, options: ArtifactOptions): Promise<Found | undefined> {
    for (const path of [place.path, place.manifest]) {
      const blob = await this.#infoIfAny(path, options)
      const info = blob && this.#artifactOf(blob)
      if (info !== undefined) return { info, etag: blob?.etag }
    }
    return undefined
  }

  async #infoIfAny(path: string, options: ArtifactOptions): Promise<FileInfo | undefined> {
    try {
      return await this.#fileSystem.info(path, { signal: options.signal, refresh: true })
    } catch (error) {
      if (isFileSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
      throw error
    }
  }

  /** What a blob says of the artifact that it is, or is the manifest of. */
  #artifactOf(blob: FileInfo): ArtifactInfo | undefined {
    const { abfs_artifact: kind, abfs_bytes, abfs_files, abfs_sha256: sha256 } = blob.metadata
    const root = `${formatPath(this.#root)}/`.slice('abfs://'.length)
    const name = blob.name.slice(root.length)
    const savedAt = blob.lastModified ?? new Date(0)
    if (kind === 'file' && sha256 !== undefined) {
      return { name, kind, sizeBytes: blob.size, fileCount: 1, sha256, savedAt }
    }
    if (kind !== 'directory' || !name.endsWith(`/${manifestName}`)) return undefined
    return {
      name: name.slice(0, -manifestName.length - 1),
      kind,
      sizeBytes: Number(abfs_bytes),
      fileCount: Number(abfs_files),
      sha256: undefined,
      savedAt,
    }
  }

  async #manifest(place: Place, options: ArtifactOptions): Promise<Manifest> {
    const data = await this.#fileSystem.catFile(place.manifest, { signal: options.signal })
    return await parseManifest(data, place.manifest)
  }

  async #removeGeneration(
    place: Place,
    generation: string,
    options: ArtifactOptions,
  ): Promise<void> {
    const path = `${place.path}/${generation}`
    if (!(await this.#fileSystem.exists(path, { signal: options.signal, refresh: true }))) return
    const call = { signal: options.signal, recursive: true, literal: true }
    await this.#fileSystem.rm(path, call)
  }

  /** A directory outlives what was in it. */
  async #removeIfEmpty(place: Place, options: ArtifactOptions): Promise<void> {
    try {
      await this.#fileSystem.rmdir(place.path, { signal: options.signal })
    } catch (error) {
      if (!isFileSystemError(error, 'ENOENT', 'ENOTEMPTY', 'ENOTDIR')) throw error
    }
  }

  /** Leftovers take space and nothing else: a failure to delete them is told, not thrown. */
  async #afterwards(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      const path = formatPath(this.#root)
      faultChannel.publish({ operation: 'artifact.clean', path, error })
    }
  }

  async #refuseNesting(segments: readonly string[], options: ArtifactOptions): Promise<void> {
    for (let length = 1; length < segments.length; length += 1) {
      const above = this.#placeOf(segments.slice(0, length))
      if ((await this.#find(above, options)) === undefined) continue
      throw new FileSystemError('EINVAL', 'artifact.save', {
        path: this.#placeOf(segments).path,
        detail: `'${above.segments.join('/')}' is an artifact, which cannot hold another`,
      })
    }
  }

  #prefixPath(prefix: string | URL): string {
    const root = formatPath(this.#root)
    const given = String(prefix).replace(/\/$/, '')
    const isRoot = given === '' || isSameRoot(this.#root, given)
    return isRoot ? root : this.#place(prefix).path
  }

  #place(name: string | URL): Place {
    return this.#placeOf(artifactSegments(this.#root, name))
  }

  #placeOf(segments: readonly string[]): Place {
    const path = `${formatPath(this.#root)}/${segments.join('/')}`
    return { segments, path, manifest: `${path}/${manifestName}` }
  }
}

/** Where an artifact stands: URLs of its blob or directory, and of its manifest. */
interface Place {
  readonly segments: readonly string[]
  readonly path: string
  readonly manifest: string
}

function isSameRoot(root: ArtifactRoot, input: string): boolean {
  if (!input.includes('://')) return false
  const other = parseRoot(root.account, input)
  return other.container === root.container && other.name === root.name
}

function expectedDigest(info: ArtifactInfo): Digest {
  return { sizeBytes: info.sizeBytes, sha256: info.sha256 ?? '' }
}

function shortId(): string {
  return randomUUID().slice(0, 8)
}
