import type { Need, Right } from '../access/access.ts'
import { publicAccessNotPermitted } from '../access/refusal.ts'
import type { Container, ContainerProperties } from '../model/container.ts'
import { assertLease, leaseHeaders } from '../model/lease.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkWrite, readConditions } from '../wire/conditions.ts'
import { httpDate } from '../wire/http-date.ts'
import { addMetadataHeaders, readMetadata, requireHeader } from '../wire/metadata.ts'
import { assertContainerName } from '../wire/parse-request.ts'
import { invalidHeader, missingHeader, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { accountScope } from './encryption.ts'

/** Create, properties, metadata, delete and restore of containers. */
export const containerVerbs: readonly Verb[] = [
  {
    name: 'CreateContainer',
    matches: (request) => isContainer(request, 'PUT', undefined),
    needs: (request) => needOnContainer(request, 'create', 'write'),
    run: createContainer,
  },
  {
    name: 'GetContainerProperties',
    matches: (request) => isRead(request) && isContainer(request, request.method, undefined),
    needs: (request) => needOnContainer(request, 'read'),
    run: getProperties,
  },
  {
    name: 'GetContainerMetadata',
    matches: (request) => isRead(request) && isContainer(request, request.method, 'metadata'),
    needs: (request) => needOnContainer(request, 'read'),
    run: getProperties,
  },
  {
    name: 'SetContainerMetadata',
    matches: (request) => isContainer(request, 'PUT', 'metadata'),
    needs: (request) => needOnContainer(request, 'write'),
    run: setMetadata,
  },
  {
    name: 'DeleteContainer',
    matches: (request) => isContainer(request, 'DELETE', undefined),
    needs: (request) => needOnContainer(request, 'delete'),
    run: deleteContainer,
  },
  {
    name: 'RestoreContainer',
    matches: (request) => isContainer(request, 'PUT', 'undelete'),
    needs: (request) => needOnContainer(request, 'create', 'write'),
    run: restoreContainer,
  },
]

/** Whether a request is about a container itself, with that `comp`. */
export function isContainer(
  request: StorageRequest,
  method: string,
  comp: string | undefined,
): boolean {
  const { container, path, query } = request
  return (
    request.method === method &&
    container !== undefined &&
    path === undefined &&
    query.get('comp') === comp &&
    query.get('restype') === 'container'
  )
}

/** What a verb on the container of the request needs. */
export function needOnContainer(
  { container }: StorageRequest,
  right: Right,
  ...or: Right[]
): readonly Need[] {
  return [{ right, or, resource: 'container', container }]
}

/** The container of a change, with its conditions and lease checked. */
export function changedContainer(context: VerbContext): Container {
  const { request, account } = context
  const container = context.container()
  const { properties } = container
  checkWrite(readConditions(request), properties, 'ContainerAlreadyExists')
  assertLease(properties, request, { use: 'read', on: 'container', nowMs: account.nowMs() })
  return container
}

/** Stores changed properties with another etag and time. */
export function putProperties(
  { account }: VerbContext,
  properties: ContainerProperties,
): ContainerProperties {
  const stamp = { etag: account.nextEtag(), lastModifiedMs: account.nowMs() }
  return account.putContainer({ ...properties, ...stamp }).properties
}

/** Headers of the answer to a change of a container. */
export function changedHeaders({
  etag,
  lastModifiedMs,
}: ContainerProperties): Record<string, string> {
  return { etag, 'last-modified': httpDate(lastModifiedMs) }
}

/** `x-ms-blob-public-access`; 409 where the account allows none. */
export function readPublicAccess({
  request,
  account,
}: VerbContext): ContainerProperties['publicAccess'] {
  const text = request.headers['x-ms-blob-public-access']
  if (text === undefined) return undefined
  if (text !== 'blob' && text !== 'container') throw invalidHeader('x-ms-blob-public-access', text)
  if (!account.settings.allowPublicAccess) throw publicAccessNotPermitted()
  return text
}

function createContainer(context: VerbContext): StorageAnswer {
  const { request, account } = context
  const name = request.container ?? ''
  assertContainerName(name)
  const metadata = readMetadata(request)
  const publicAccess = readPublicAccess(context)
  if (account.container(name) !== undefined) throw refusal('ContainerAlreadyExists')
  const made = putProperties(context, {
    name,
    etag: '',
    lastModifiedMs: 0,
    metadata,
    publicAccess,
    ...scopesOf(request),
    policies: new Map(),
  })
  return { status: 201, headers: changedHeaders(made) }
}

function scopesOf({
  headers,
}: StorageRequest): Pick<ContainerProperties, 'defaultScope' | 'deniesOtherScopes'> {
  const defaultScope = headers['x-ms-default-encryption-scope']
  const denies = headers['x-ms-deny-encryption-scope-override']?.toLowerCase()
  if (defaultScope === undefined && denies === undefined) return {}
  if (defaultScope === undefined) throw missingHeader('x-ms-default-encryption-scope')
  return { defaultScope, deniesOtherScopes: denies === 'true' }
}

function getProperties(context: VerbContext): StorageAnswer {
  const { request, account } = context
  const { properties } = context.container()
  assertLease(properties, request, { use: 'read', on: 'container', nowMs: account.nowMs() })
  const headers = {
    ...changedHeaders(properties),
    ...leaseHeaders(properties.lease, account.nowMs()),
    'x-ms-blob-public-access': properties.publicAccess,
    'x-ms-has-immutability-policy': 'false',
    'x-ms-has-legal-hold': 'false',
    'x-ms-immutable-storage-with-versioning-enabled': 'false',
    'x-ms-default-encryption-scope': properties.defaultScope ?? accountScope,
    'x-ms-deny-encryption-scope-override': String(properties.deniesOtherScopes ?? false),
  }
  addMetadataHeaders(headers, properties.metadata)
  return { status: 200, headers }
}

function setMetadata(context: VerbContext): StorageAnswer {
  const { properties } = changedContainer(context)
  const metadata = readMetadata(context.request)
  const after = putProperties(context, { ...properties, metadata })
  return { status: 200, headers: changedHeaders(after) }
}

function deleteContainer(context: VerbContext): StorageAnswer {
  const { request, account } = context
  const { properties } = context.container()
  checkWrite(readConditions(request), properties)
  assertLease(properties, request, { use: 'write', on: 'container', nowMs: account.nowMs() })
  const { lease: _, ...rest } = properties
  if (account.settings.containerSoftDeleteDays === undefined) {
    account.removeContainer(properties.name)
  } else {
    account.retireContainer({ ...rest, deletedMs: account.nowMs() }, account.nextTimestamp())
  }
  return { status: 202 }
}

function restoreContainer(context: VerbContext): StorageAnswer {
  const { request, account } = context
  const name = requireHeader(request, 'x-ms-deleted-container-name')
  const version = requireHeader(request, 'x-ms-deleted-container-version')
  const newName = request.container ?? ''
  assertContainerName(newName)
  const retired = [...account.retiredContainers()].find(
    ([each, { properties }]) => each === version && properties.name === name,
  )
  if (retired === undefined) throw refusal('ContainerNotFound')
  if (account.container(newName) !== undefined) throw refusal('ContainerAlreadyExists')
  const { deletedMs: _, ...properties } = retired[1].properties
  account.restoreContainer(version, { ...properties, name: newName })
  return { status: 201 }
}

function isRead({ method }: StorageRequest): boolean {
  return method === 'GET' || method === 'HEAD'
}
