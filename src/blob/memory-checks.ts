import type { MemoryBlob } from './memory-container.ts'
import { refusal, type TreeSubject } from './memory-tree.ts'
import type { BlobProperties, Conditions } from './store.ts'

/** What the service refuses to do to a blob, for the store in memory. */

/** 412 to `If-Match`. */
export function checkIfMatch(
  blob: MemoryBlob | undefined,
  conditions: Conditions,
  subject: TreeSubject,
): void {
  if (conditions.ifMatch === undefined) return
  const matches = conditions.ifMatch === '*' || conditions.ifMatch === blob?.properties.etag
  if (blob === undefined || !matches) throw refusal('ESTALE', subject, 'ConditionNotMet')
}

/** A blob keeps its type as long as it is there. */
export function checkType(
  blob: MemoryBlob | undefined,
  type: BlobProperties['blobType'],
  subject: TreeSubject,
): void {
  if (blob === undefined || blob.properties.blobType === type) return
  throw refusal('EINVAL', subject, 'InvalidBlobType')
}

/** Block ids of one blob have one length. */
export function checkSameLength(
  blockId: string,
  otherId: string | undefined,
  subject: TreeSubject,
): void {
  if (otherId === undefined || otherId.length === blockId.length) return
  const detail = 'all block ids of one blob must have the same length'
  throw refusal('EINVAL', { ...subject, detail }, 'InvalidBlobOrBlock')
}
