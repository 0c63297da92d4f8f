import type { BlobRecord, ContentHeaders, Ownership } from '../model/record.ts'
import type { VerbContext } from '../verb.ts'
import { md5Header } from '../wire/content-headers.ts'
import { refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { parseAcl } from './acl.ts'
import { callerName, type NewPath, ownershipOf, ownershipOfChild, parentOf } from './ownership.ts'
import { parsePermissions, parseUmask } from './permissions.ts'
import { requireHierarchical } from './target.ts'

const rightsHeaders = ['permissions', 'umask', 'owner', 'group', 'acl'].map(
  (each) => `x-ms-${each}`,
)

/** The content headers of a request of the dfs face; what is absent is left out. */
export function readContentHeaders({ headers }: StorageRequest): ContentHeaders {
  const found: ContentHeaders = {
    contentType: headers['x-ms-content-type'],
    contentEncoding: headers['x-ms-content-encoding'],
    contentLanguage: headers['x-ms-content-language'],
    contentDisposition: headers['x-ms-content-disposition'],
    cacheControl: headers['x-ms-cache-control'],
    contentMd5: md5Header(headers, 'x-ms-content-md5'),
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined))
}

/** A file without content as dfs makes it. */
export function newFile(
  { request, account }: VerbContext,
  ownership: Ownership | undefined,
): Omit<BlobRecord, 'metadata'> {
  const { contentMd5: _, ...headers } = readContentHeaders(request)
  return {
    kind: 'blob',
    blobType: 'BlockBlob',
    content: { sizeBytes: 0, extents: [] },
    etag: account.nextEtag(),
    createdMs: account.nowMs(),
    lastModifiedMs: account.nowMs(),
    headers: { contentType: 'application/octet-stream', ...headers },
    tags: {},
    tier: { name: 'Hot', inferred: true },
    writtenBy: 'dfs',
    ownership,
  }
}

/** Whether a request says who owns a path or what its rights are. */
export function namesRights({ headers }: StorageRequest): boolean {
  return rightsHeaders.some((name) => headers[name] !== undefined)
}

/**
 * Owner and rights that a request gives a path about to be made; `undefined` on flat accounts,
 * which refuse to be told (400).
 */
export function newOwnership(
  context: VerbContext,
  name: string,
  kind: NewPath['kind'],
): Ownership | undefined {
  const { request, account, caller } = context
  if (!account.settings.hierarchical) {
    if (namesRights(request)) {
      requireHierarchical(context)
    }
    return undefined
  }
  const parent = ownershipOf(context.container(), parentOf(name))
  return ownershipOfChild(parent, { kind, maker: callerName(caller, request), ...rights(request) })
}

function rights({ headers }: StorageRequest): Partial<NewPath> {
  const permissions = headers['x-ms-permissions']
  const umask = headers['x-ms-umask']
  const acl = headers['x-ms-acl']
  if (acl !== undefined && (permissions !== undefined || umask !== undefined)) {
    throw refusal('InvalidInput', {
      details: { Reason: 'x-ms-acl excludes x-ms-permissions and x-ms-umask.' },
    })
  }
  return {
    mode: permissions === undefined ? undefined : parsePermissions(permissions),
    umask: umask === undefined ? undefined : parseUmask(umask),
    owner: headers['x-ms-owner'],
    group: headers['x-ms-group'],
    acl: acl === undefined ? undefined : parseAcl(acl),
  }
}
