import type { Permission, Scope } from '../credential/credential.ts'
import { type Access, type Endpoints, scopeFor } from '../credential/endpoints.ts'
import type { HttpRequest } from '../http/handler.ts'

/** What a command will do: no credential is asked for more. */
export type AccessKind = 'read' | 'readTags' | 'write'

/** What each kind of access asks for. */
export const PERMISSIONS: Readonly<Record<AccessKind, readonly Permission[]>> = {
  read: ['read', 'list'],
  readTags: ['read', 'list', 'tag'],
  write: ['read', 'list', 'create', 'write', 'delete'],
}

/** How the requests of one account are let through. */
export interface RequestScopeOptions extends Pick<Access, 'prefix' | 'perBlob'> {
  readonly endpoints: Endpoints
  readonly access: AccessKind
}

/** Containers of which the scopes are remembered; then from the beginning. */
const maxRemembered = 1000

/**
 * Tells which credential lets a request through. Requests that want the same one get the same
 * object, by which a cache finds it without looking into it.
 */
export function requestScopes(options: RequestScopeOptions): (request: HttpRequest) => Scope {
  const { endpoints, access, prefix, perBlob } = options
  const general = PERMISSIONS[access].filter((each) => perBlob !== true || each !== 'list')
  // What kind of account it is, whoever may read is told.
  const asking = general.filter((each) => each !== 'tag')
  const usual = ({ operation }: HttpRequest) => (operation === 'account.info' ? asking : general)
  const same = sameObject()
  return (request) => {
    const permissions = specialPermissions(request) ?? usual(request)
    const wanted = scopeFor(request.url, endpoints, { permissions, prefix, perBlob })
    const scope = wanted.container === feedContainer ? feedScope(wanted) : wanted
    // A container is made and deleted in the account: no signature for the container reaches so far.
    return same(
      accountOperations.has(request.operation)
        ? { ...scope, container: undefined, prefix: undefined }
        : scope,
    )
  }
}

const feedContainer = '$blobchangefeed'

/** The change feed is of the whole account, and nobody writes to it. */
function feedScope({ account, service, container }: Scope): Scope {
  return { account, service, container, permissions: PERMISSIONS.read }
}

/** Gives the first scope of those that are equal. Scopes of single blobs are too many to keep. */
function sameObject(): (scope: Scope) => Scope {
  const seen = new Map<readonly Permission[], Map<string, Scope>>()
  return (scope) => {
    if (scope.blob !== undefined) return scope
    const { permissions, service, container = '' } = scope
    const byPlace = seen.get(permissions) ?? new Map<string, Scope>()
    const place = service + container
    const known = byPlace.get(place)
    if (known !== undefined) return known
    if (byPlace.size >= maxRemembered) byPlace.clear()
    seen.set(permissions, byPlace.set(place, scope))
    return scope
  }
}

const accountOperations: ReadonlySet<string> = new Set(['container.create', 'container.delete'])
const tagOperations: ReadonlySet<string> = new Set(['blob.getTags', 'blob.setTags'])

const tagging: readonly Permission[] = ['tag']
const writingTags: readonly Permission[] = [...PERMISSIONS.write, 'tag']
const owning: readonly Permission[] = ['ownership']
const permitting: readonly Permission[] = ['permissions']
const owningAndPermitting: readonly Permission[] = ['ownership', 'permissions']

/** Tags, and who may do what, want a credential of their own, which can do nothing else. */
function specialPermissions({
  operation,
  headers,
}: HttpRequest): readonly Permission[] | undefined {
  if (tagOperations.has(operation)) return tagging
  if (headers['x-ms-tags'] !== undefined) return writingTags
  if (operation === 'path.changeAcl') return permitting
  if (operation !== 'path.setAccessControl') return undefined
  const has = (...names: readonly string[]) => names.some((name) => headers[name] !== undefined)
  if (!has('x-ms-owner', 'x-ms-group')) return permitting
  return has('x-ms-permissions', 'x-ms-acl') ? owningAndPermitting : owning
}
