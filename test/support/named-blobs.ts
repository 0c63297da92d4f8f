import { MemoryBlobStore } from '../../src/blob/memory-store.ts'

/** What a blob is: a file, a directory's mark by its metadata, or one by the slash that its name ends with. */
export interface NamedBlob {
  readonly name: string
  readonly kind: string
}

/** A store with these blobs; files hold their name. */
export async function storeOf(
  container: string,
  blobs: readonly NamedBlob[],
): Promise<MemoryBlobStore> {
  const store = new MemoryBlobStore()
  await store.createContainer(container)
  for (const { name, kind } of blobs) {
    const path = { container, name: kind === 'slash' ? `${name}/` : name }
    const metadata: Record<string, string> = kind === 'marker' ? { hdi_isfolder: 'true' } : {}
    await store.put(path, Buffer.from(kind === 'file' ? name : ''), { metadata })
  }
  return store
}
