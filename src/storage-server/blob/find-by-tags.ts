import type { StorageAccount } from '../model/account.ts'
import type { Container } from '../model/container.ts'
import type { BlobRecord } from '../model/record.ts'
import {
  matchesTags,
  namesOf,
  parseTagSearch,
  type TagExpression,
  TagExpressionError,
} from '../model/tag-expression.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { invalidQuery, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { element, textElement, xmlDeclaration, xmlText } from '../wire/xml.ts'
import { tagsElement } from './tag-verbs.ts'

/** Find Blobs by Tags in an account and in a container. */
export const findByTagsVerbs: readonly Verb[] = [
  {
    name: 'FindBlobsByTags',
    matches: ({ method, container, query }) =>
      method === 'GET' && container === undefined && query.get('comp') === 'blobs',
    needs: () => [{ right: 'filterByTags', resource: 'service' }],
    run: (context) => findBlobs(context, [...context.account.containers()]),
  },
  {
    name: 'FindBlobsByTagsInContainer',
    matches: ({ method, container, path, query }) =>
      method === 'GET' &&
      container !== undefined &&
      path === undefined &&
      query.get('restype') === 'container' &&
      query.get('comp') === 'blobs',
    needs: ({ container }) => [{ right: 'filterByTags', resource: 'container', container }],
    run: (context) => findBlobs(context, [context.container()]),
  },
]

interface Hit {
  readonly container: string
  readonly name: string
  readonly record: BlobRecord
  readonly isCurrent: boolean
}

interface Search {
  readonly account: StorageAccount
  readonly containers: readonly Container[]
  readonly expression: TagExpression
  readonly withVersions: boolean
}

function findBlobs(context: VerbContext, containers: readonly Container[]): StorageAnswer {
  const { request, account } = context
  if (account.settings.hierarchical) throw refusal('BlobTagsNotSupportedForAccountType')
  const expression = readWhere(request)
  const withVersions = (request.query.get('include') ?? '').split(',').includes('versions')
  const skip = readMarker(request)
  const limit = readMaxResults(request)
  const page: Hit[] = []
  let found = 0
  for (const hit of search({ account, containers, expression, withVersions })) {
    if (found++ < skip) continue
    if (page.length === limit) return answerOf(context, page, markerOf(skip + limit))
    page.push(hit)
  }
  return answerOf(context, page, '')
}

function* search({ account, containers, expression, withVersions }: Search): Iterable<Hit> {
  for (const { properties, paths } of containers) {
    const container = properties.name
    for (const { name, current, versions } of paths.from('')) {
      for (const record of withVersions ? (versions?.values() ?? []) : []) {
        if (matchesTags(expression, record.tags, container)) {
          yield { container, name, record, isCurrent: false }
        }
      }
      if (current?.kind !== 'blob' || (current.expiresMs ?? Infinity) <= account.nowMs()) continue
      if (!matchesTags(expression, current.tags, container)) continue
      yield { container, name, record: current, isCurrent: true }
    }
  }
}

function answerOf({ request }: VerbContext, page: readonly Hit[], next: string): StorageAnswer {
  const where = request.query.get('where') ?? ''
  const names = new Set(namesOf(readWhere(request)))
  const endpoint = endpointOf(request)
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: [
      `${xmlDeclaration}<EnumerationResults ServiceEndpoint="${xmlText(endpoint)}">`,
      `${element('Where', where)}<Blobs>`,
      ...page.map((hit) => hitElement(hit, names)),
      `</Blobs>${next === '' ? '<NextMarker />' : element('NextMarker', next)}</EnumerationResults>`,
    ].join(''),
  }
}

/** Of the tags, only those that the expression names are answered. */
function hitElement({ container, name, record, isCurrent }: Hit, names: Set<string>): string {
  const tags = Object.fromEntries(Object.entries(record.tags).filter(([tag]) => names.has(tag)))
  return [
    `<Blob>${textElement('Name', name)}${element('ContainerName', container)}`,
    element('VersionId', record.versionId),
    isCurrent && record.versionId !== undefined ? element('IsCurrentVersion', 'true') : '',
    `${tagsElement(tags)}</Blob>`,
  ].join('')
}

function readWhere({ query }: StorageRequest): TagExpression {
  const where = query.get('where')
  if (where === undefined) {
    throw refusal('MissingRequiredQueryParameter', { details: { QueryParameterName: 'where' } })
  }
  try {
    return parseTagSearch(where)
  } catch (error) {
    if (error instanceof TagExpressionError) throw invalidQuery('where', where, error.message)
    throw error
  }
}

function readMaxResults({ query }: StorageRequest): number {
  const text = query.get('maxresults')
  if (text === undefined) return 5000
  if (!/^\d{1,9}$/u.test(text)) throw invalidQuery('maxresults', text)
  const wanted = Number(text)
  if (wanted === 0) throw refusal('OutOfRangeQueryParameterValue')
  return Math.min(wanted, 5000)
}

/** Markers are opaque to clients: how many hits came before. */
function markerOf(skip: number): string {
  return Buffer.from(`tags:${skip}`).toString('base64url')
}

function readMarker({ query }: StorageRequest): number {
  const marker = query.get('marker') ?? ''
  if (marker === '') return 0
  const skip = /^tags:(\d{1,15})$/u.exec(Buffer.from(marker, 'base64url').toString('latin1'))?.[1]
  if (skip === undefined) throw invalidQuery('marker', marker)
  return Number(skip)
}

function endpointOf({ secure, headers, pathStyle, account }: StorageRequest): string {
  const scheme = secure ? 'https' : 'http'
  return `${scheme}://${headers['host'] ?? ''}/${pathStyle ? `${account}/` : ''}`
}
