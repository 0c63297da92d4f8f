import type { Verb } from '../verb.ts'
import { appendBlobVerbs } from './append-blob.ts'
import { batchVerbs } from './batch.ts'
import { blobPropertiesVerbs } from './blob-properties.ts'
import { blockListVerbs } from './block-list.ts'
import { containerPolicyVerbs } from './container-policies.ts'
import { containerVerbs } from './container-verbs.ts'
import { copyVerbs } from './copy-blob.ts'
import { deleteBlobVerb } from './delete-blob.ts'
import { findByTagsVerbs } from './find-by-tags.ts'
import { fromUrlVerbs } from './from-url.ts'
import { getBlobVerbs } from './get-blob.ts'
import { leaseVerbs } from './lease-verbs.ts'
import { listBlobsVerb } from './list-blobs.ts'
import { listContainersVerb } from './list-containers.ts'
import { pageBlobVerbs } from './page-blob.ts'
import { pageRangeVerbs } from './page-ranges.ts'
import { putBlobVerb } from './put-blob.ts'
import { putBlockVerb } from './put-block.ts'
import { serviceVerbs } from './service-verbs.ts'
import { snapshotVerbs } from './snapshot-verbs.ts'
import { tagVerbs } from './tag-verbs.ts'
import { tierVerbs } from './tier-verbs.ts'
import { unsupportedVerbs } from './unsupported.ts'

/** The verbs of the blob face, the frequent ones first; the first that matches answers. */
export const blobVerbs: readonly Verb[] = [
  ...getBlobVerbs,
  putBlockVerb,
  ...blockListVerbs,
  deleteBlobVerb,
  listBlobsVerb,
  ...blobPropertiesVerbs,
  ...containerVerbs,
  ...containerPolicyVerbs,
  listContainersVerb,
  ...serviceVerbs,
  ...appendBlobVerbs,
  ...pageBlobVerbs,
  ...pageRangeVerbs,
  ...copyVerbs,
  ...fromUrlVerbs,
  ...leaseVerbs,
  ...snapshotVerbs,
  ...tagVerbs,
  ...findByTagsVerbs,
  ...tierVerbs,
  ...batchVerbs,
  ...unsupportedVerbs,
  // Last of those without `comp`: refuses blob types that are none.
  putBlobVerb,
]
