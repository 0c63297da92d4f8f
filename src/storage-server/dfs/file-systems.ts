import type { Need, Right } from '../access/access.ts'
import type { Container } from '../model/container.ts'
import { assertLease } from '../model/lease.ts'
import type { Verb, VerbContext } from '../verb.ts'
import { checkWrite, readConditions } from '../wire/conditions.ts'
import { assertContainerName } from '../wire/parse-request.ts'
import { queryInteger } from '../wire/parse-url.ts'
import { refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { readContinuation, writeContinuation } from './continuation.ts'
import { requireEmptyBody } from './create-path.ts'
import { readProperties, writeProperties } from './properties.ts'
import { changedHeaders } from './target.ts'

const maxPageSize = 5000

/** Filesystem - Create. */
export const createFileSystem: Verb = {
  name: 'Filesystem - Create',
  matches: (request) => request.method === 'PUT' && isFileSystem(request),
  needs: (request) => needOnContainer(request, 'create', 'write'),
  run: (context) => {
    const { request, account } = context
    const name = request.container ?? ''
    assertContainerName(name)
    requireEmptyBody(context)
    const metadata = readProperties(request) ?? {}
    if (account.container(name)) {
      throw refusal('FilesystemAlreadyExists')
    }
    const { properties } = account.putContainer({
      name,
      etag: account.nextEtag(),
      lastModifiedMs: account.nowMs(),
      metadata,
      policies: new Map(),
    })
    return { status: 201, headers: { ...changedHeaders(properties), ...namespaceHeader(context) } }
  },
}

/** Filesystem - Delete. */
export const deleteFileSystem: Verb = {
  name: 'Filesystem - Delete',
  matches: (request) => request.method === 'DELETE' && isFileSystem(request),
  needs: (request) => needOnContainer(request, 'delete'),
  run: (context) => {
    const { account } = context
    const { properties } = changedContainer(context)
    assertLease(properties, context.request, {
      use: 'write',
      on: 'container',
      nowMs: account.nowMs(),
    })
    if (account.settings.containerSoftDeleteDays === undefined) {
      account.removeContainer(properties.name)
    } else {
      const retired = { ...properties, deletedMs: account.nowMs() }
      account.retireContainer(retired, account.nextTimestamp())
    }
    return { status: 202 }
  },
}

/** Filesystem - Get Properties. */
export const getFileSystemProperties: Verb = {
  name: 'Filesystem - Get Properties',
  matches: (request) => request.method === 'HEAD' && isFileSystem(request),
  needs: (request) => needOnContainer(request, 'read', 'list'),
  run: (context) => {
    const { properties } = context.container()
    const headers = {
      ...changedHeaders(properties),
      ...namespaceHeader(context),
      'x-ms-properties': writeProperties(properties.metadata, 'blob'),
    }
    return { status: 200, headers }
  },
}

/** Filesystem - Set Properties: replaces the metadata. */
export const setFileSystemProperties: Verb = {
  name: 'Filesystem - Set Properties',
  matches: (request) => request.method === 'PATCH' && isFileSystem(request),
  needs: (request) => needOnContainer(request, 'write'),
  run: (context) => {
    const { account, request } = context
    const { properties } = changedContainer(context)
    const changed = account.putContainer({
      ...properties,
      etag: account.nextEtag(),
      lastModifiedMs: account.nowMs(),
      metadata: readProperties(request) ?? {},
    })
    return { status: 200, headers: changedHeaders(changed.properties) }
  },
}

/** Filesystem - List, for the account, as JSON in pages. */
export const listFileSystems: Verb = {
  name: 'Filesystem - List',
  matches: ({ face, method, container, query }) =>
    face === 'dfs' &&
    method === 'GET' &&
    container === undefined &&
    query.get('resource') === 'account',
  needs: () => [{ right: 'list', resource: 'service' }],
  run: (context) => {
    const { account, request } = context
    const prefix = request.query.get('prefix') ?? ''
    const start = readContinuation(request) ?? ''
    const matching = [...account.containers()].filter(
      ({ properties: { name } }) => name.startsWith(prefix) && name >= start,
    )
    const pageSize = readPageSize(request)
    const next = matching[pageSize]?.properties.name
    return {
      status: 200,
      headers: {
        'content-type': 'application/json;charset=utf-8',
        'x-ms-continuation': next && writeContinuation(next),
      },
      body: JSON.stringify({ filesystems: matching.slice(0, pageSize).map(fileSystemJson) }),
    }
  },
}

function isFileSystem({ face, container, path, query }: StorageRequest): boolean {
  const named = container !== undefined && path === undefined
  return face === 'dfs' && named && query.get('resource') === 'filesystem'
}

function needOnContainer(request: StorageRequest, right: Right, ...or: Right[]): readonly Need[] {
  return [{ right, or, resource: 'container', container: request.container }]
}

function namespaceHeader({ account }: VerbContext): Record<string, string> {
  return { 'x-ms-namespace-enabled': String(account.settings.hierarchical) }
}

function changedContainer(context: VerbContext): Container {
  const container = context.container()
  const { etag, lastModifiedMs } = container.properties
  checkWrite(readConditions(context.request), { etag, lastModifiedMs }, 'PathAlreadyExists')
  return container
}

function readPageSize({ query }: StorageRequest): number {
  const size = queryInteger(query, 'maxresults')
  if (size !== undefined && size <= 0) {
    throw refusal('OutOfRangeQueryParameterValue', {
      details: { QueryParameterName: 'maxResults', QueryParameterValue: String(size) },
    })
  }
  return Math.min(size ?? maxPageSize, maxPageSize)
}

function fileSystemJson({ properties }: Container): Record<string, string> {
  return {
    etag: properties.etag.replaceAll('"', ''),
    lastModified: new Date(properties.lastModifiedMs).toUTCString(),
    name: properties.name,
  }
}
