import type { ContainerProperties } from '../model/container.ts'
import { leaseHeaders } from '../model/lease.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { httpDate } from '../wire/http-date.ts'
import { element, metadataElement, textElement, xmlDeclaration, xmlText } from '../wire/xml.ts'
import { accountScope } from './encryption.ts'
import { endpointOf, includesOf, pageSizeOf, readMarker, writeMarker } from './list-request.ts'

const includes: ReadonlySet<string> = new Set(['metadata', 'deleted', 'system'])
const dayMs = 24 * 60 * 60 * 1000

/** List Containers. */
export const listContainersVerb: Verb = {
  name: 'ListContainers',
  matches: ({ method, container, query }) =>
    method === 'GET' && container === undefined && query.get('comp') === 'list',
  needs: () => [{ right: 'list', resource: 'service' }],
  run: listContainers,
}

interface Row {
  readonly properties: ContainerProperties
  /** Of a soft-deleted one. */
  readonly version?: string | undefined
}

function listContainers(context: VerbContext): StorageAnswer {
  const { request, account } = context
  const wanted = includesOf(request, includes)
  const prefix = request.query.get('prefix') ?? ''
  const pageSize = pageSizeOf(request)
  const start = readMarker(request)
  const rows = rowsOf(context, wanted).filter(
    ({ properties: { name } }) =>
      name.startsWith(prefix) && (wanted.has('system') || !isSystem(name)),
  )
  const first = start === undefined ? 0 : rows.findIndex((row) => keyOf(row) >= start.name)
  const page = first < 0 ? [] : rows.slice(first, first + pageSize)
  const next = first < 0 ? undefined : rows[first + pageSize]
  const entries = page.map((row) => containerElement(row, context, wanted.has('metadata')))
  const head = [
    textElement('Prefix', prefix),
    textElement('Marker', request.query.get('marker') ?? ''),
    element('MaxResults', pageSize),
  ].join('')
  const marker = next === undefined ? '' : writeMarker({ name: keyOf(next), skip: 0 })
  const endpoint = xmlText(endpointOf(request, account))
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body:
      `${xmlDeclaration}<EnumerationResults ServiceEndpoint="${endpoint}">${head}` +
      `<Containers>${entries.join('')}</Containers>` +
      `<NextMarker>${marker}</NextMarker></EnumerationResults>`,
  }
}

function rowsOf({ account }: VerbContext, wanted: ReadonlySet<string>): Row[] {
  const rows: Row[] = [...account.containers()].map(({ properties }) => ({ properties }))
  if (!wanted.has('deleted')) return rows
  for (const [version, { properties }] of account.retiredContainers()) {
    rows.push({ properties, version })
  }
  return rows.sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

/** Names of containers hold no control characters: a deleted one follows the live one of its name. */
function keyOf({ properties, version }: Row): string {
  return version === undefined ? properties.name : `${properties.name}\0${version}`
}

function isSystem(name: string): boolean {
  return name === '$logs' || name === '$blobchangefeed'
}

function containerElement(
  { properties, version }: Row,
  { account }: VerbContext,
  withMetadata: boolean,
): string {
  const nowMs = account.nowMs()
  const lease = leaseHeaders(properties.lease, nowMs)
  const inner = [
    element('Last-Modified', httpDate(properties.lastModifiedMs)),
    element('Etag', properties.etag),
    element('LeaseStatus', lease['x-ms-lease-status']),
    element('LeaseState', lease['x-ms-lease-state']),
    element('LeaseDuration', lease['x-ms-lease-duration']),
    element('PublicAccess', properties.publicAccess),
    element('HasImmutabilityPolicy', 'false'),
    element('HasLegalHold', 'false'),
    element('DefaultEncryptionScope', properties.defaultScope ?? accountScope),
    element('DenyEncryptionScopeOverride', String(properties.deniesOtherScopes ?? false)),
    deletionElements(properties, nowMs, account.settings.containerSoftDeleteDays ?? 0),
  ].join('')
  const deleted =
    version === undefined ? '' : `<Deleted>true</Deleted>${element('Version', version)}`
  const metadata = withMetadata ? metadataElement(properties.metadata) : ''
  const name = element('Name', properties.name)
  return `<Container>${name}${deleted}<Properties>${inner}</Properties>${metadata}</Container>`
}

function deletionElements({ deletedMs }: ContainerProperties, nowMs: number, days: number): string {
  if (deletedMs === undefined) return ''
  const left = Math.max(0, Math.floor(days - (nowMs - deletedMs) / dayMs))
  return element('DeletedTime', httpDate(deletedMs)) + element('RemainingRetentionDays', left)
}
