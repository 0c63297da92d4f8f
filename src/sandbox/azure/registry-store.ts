import { createHash, randomUUID } from 'node:crypto'
import { RegistryError, unknown } from './registry-error.ts'

/** A manifest as it was put. */
export interface StoredManifest {
  readonly digest: string
  readonly mediaType: string
  readonly bytes: Buffer
}

interface Repository {
  readonly blobs: Map<string, Buffer>
  readonly manifests: Map<string, StoredManifest>
  readonly tags: Map<string, string>
}

/** The repositories of one registry, in memory. */
export class RegistryStore {
  readonly #repositories = new Map<string, Repository>()
  readonly #uploads = new Map<string, { readonly repository: string; bytes: Buffer }>()

  /** The names of all repositories that have a manifest, in order. */
  get names(): readonly string[] {
    const named = [...this.#repositories].filter(([, each]) => each.manifests.size > 0)
    return named.map(([name]) => name).sort()
  }

  tags(repository: string): readonly string[] {
    return [...this.#known(repository).tags.keys()].sort()
  }

  blob(repository: string, digest: string): Buffer {
    const bytes = this.#repositories.get(repository)?.blobs.get(digest)
    if (bytes === undefined) throw unknown('BLOB')
    return bytes
  }

  /** By digest or by tag. */
  manifest(repository: string, reference: string): StoredManifest {
    const { manifests, tags } = this.#known(repository)
    const found = manifests.get(tags.get(reference) ?? reference)
    if (found === undefined) throw unknown('MANIFEST')
    return found
  }

  putManifest(
    repository: string,
    reference: string,
    { mediaType, bytes }: { readonly mediaType: string; readonly bytes: Buffer },
  ): StoredManifest {
    const digest = digestOf(bytes)
    const isDigest = reference.includes(':')
    if (isDigest && reference !== digest) throw mismatch()
    const { manifests, tags } = this.#made(repository)
    const stored = { digest, mediaType, bytes }
    manifests.set(digest, stored)
    if (!isDigest) tags.set(reference, digest)
    return stored
  }

  /** Begins an upload and gives its id. */
  begin(repository: string): string {
    const id = randomUUID()
    this.#uploads.set(id, { repository, bytes: Buffer.alloc(0) })
    return id
  }

  /** Appends to an upload and gives its size. */
  append(repository: string, id: string, bytes: Buffer): number {
    const upload = this.#uploads.get(id)
    if (upload?.repository !== repository) throw unknown('BLOB_UPLOAD')
    upload.bytes = Buffer.concat([upload.bytes, bytes])
    return upload.bytes.length
  }

  /** Ends an upload; throws when its digest is another. */
  finish(repository: string, id: string, digest: string): void {
    this.append(repository, id, Buffer.alloc(0))
    const bytes = this.#uploads.get(id)?.bytes ?? Buffer.alloc(0)
    if (digestOf(bytes) !== digest) throw mismatch()
    this.#uploads.delete(id)
    this.#made(repository).blobs.set(digest, bytes)
  }

  #known(name: string): Repository {
    const repository = this.#repositories.get(name)
    if (repository === undefined) throw unknown('NAME')
    return repository
  }

  #made(name: string): Repository {
    const known = this.#repositories.get(name)
    if (known !== undefined) return known
    const made = { blobs: new Map(), manifests: new Map(), tags: new Map() }
    this.#repositories.set(name, made)
    return made
  }
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function mismatch(): RegistryError {
  return new RegistryError(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content')
}
