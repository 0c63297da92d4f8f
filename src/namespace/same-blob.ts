import type { BlobProperties, BlobStore, CallOptions } from '../blob/store.ts'
import { MiB } from '../byte-range.ts'
import type { BlobPath } from '../path.ts'
import { callOptions } from './lookup.ts'

/** One version of a blob. */
export interface BlobVersion {
  readonly path: BlobPath
  /** With metadata. */
  readonly properties: BlobProperties
}

/** How much of each blob is compared at a time. */
const stepBytes = 4 * MiB

/**
 * Whether two blobs are the same to whoever reads them: bytes and metadata. Their MD5s decide where
 * the service keeps both; otherwise the bytes are read and compared. `ESTALE` when one changes
 * meanwhile.
 */
export async function isSameBlob(
  store: BlobStore,
  a: BlobVersion,
  b: BlobVersion,
  options: CallOptions,
): Promise<boolean> {
  if (a.properties.sizeBytes !== b.properties.sizeBytes) return false
  if (!haveSameMetadata(a.properties, b.properties)) return false
  const [md5, otherMd5] = [a.properties.contentMd5, b.properties.contentMd5]
  if (md5 !== undefined && otherMd5 !== undefined) return md5 === otherMd5
  for (let start = 0; start < a.properties.sizeBytes; start += stepBytes) {
    const range = { start, end: start + stepBytes }
    const [one, other] = await Promise.all(
      [a, b].map(({ path, properties }) =>
        store.get(path, { ...callOptions(options), range, ifMatch: properties.etag }),
      ),
    )
    if (one === undefined || other === undefined || !equal(one.data, other.data)) return false
  }
  return true
}

function haveSameMetadata(a: BlobProperties, b: BlobProperties): boolean {
  return JSON.stringify(sorted(a)) === JSON.stringify(sorted(b))
}

function sorted({ metadata = {} }: BlobProperties): unknown {
  const pairs = Object.entries(metadata).map(([key, value]) => [key.toLowerCase(), value] as const)
  return pairs.sort(([a], [b]) => (a < b ? -1 : 1))
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
