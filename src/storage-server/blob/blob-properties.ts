import { amendCurrent, reviseCurrent } from '../model/changes.ts'
import type { BlobRecord, PathRecord } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { readContentHeaders } from '../wire/content-headers.ts'
import { readMetadata } from '../wire/metadata.ts'
import { refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { assertEncryption } from './encryption.ts'
import { withPageProperties } from './page-blob.ts'
import {
  existingTarget,
  needOnPath,
  stamp,
  type Target,
  targetOf,
  writeTarget,
  writtenHeaders,
} from './target.ts'

/** Set Blob Metadata and Set Blob Properties. */
export const blobPropertiesVerbs: readonly Verb[] = [
  {
    name: 'SetBlobMetadata',
    matches: (request) => isOn(request, 'metadata'),
    needs: (request) => needOnPath(request, 'write'),
    run: setMetadata,
  },
  {
    name: 'SetBlobProperties',
    matches: (request) => isOn(request, 'properties'),
    needs: (request) => needOnPath(request, 'write'),
    run: setProperties,
  },
]

/** Directories of hierarchical accounts have metadata too. */
function setMetadata(context: VerbContext): StorageAnswer {
  if (targetOf(context).record === undefined) throw refusal('BlobNotFound')
  const { place, name, record } = writeTarget(context) as Target & { readonly record: PathRecord }
  const metadata = readMetadata(context.request)
  if (record.kind === 'blob') {
    assertEncryption(context.request, record.encryption, place.container.properties)
  }
  const after = reviseCurrent(place, name, { ...record, ...stamp(place), metadata })
  return { status: 200, headers: writtenHeaders(after) }
}

/**
 * Replaces all content headers: one that is absent is cleared. A request about the size or sequence
 * number of a page blob alone leaves them.
 */
function setProperties(context: VerbContext): StorageAnswer {
  const { request } = context
  const { place, name, record } = existingTarget(context)
  const headers = readContentHeaders(request)
  const paged = withPageProperties(request, record)
  const kept = paged !== record && Object.values(headers).every((value) => value === undefined)
  const contentType = headers.contentType ?? 'application/octet-stream'
  const after: BlobRecord = {
    ...paged,
    ...stamp(place),
    headers: kept ? record.headers : { ...headers, contentType },
  }
  amendCurrent(place, name, after)
  const sequence = after.sequenceNumber?.toString()
  return {
    status: 200,
    headers: { ...writtenHeaders(after), 'x-ms-blob-sequence-number': sequence },
  }
}

function isOn({ method, path, query }: StorageRequest, comp: string): boolean {
  return method === 'PUT' && path !== undefined && query.get('comp') === comp
}
