import { stateOf } from '../model/changes.ts'
import { assertLease } from '../model/lease.ts'
import type { BlobRecord } from '../model/record.ts'
import { checkTags, type Tags } from '../model/tags.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkBody } from '../wire/checksums.ts'
import { checkWrite, readConditions } from '../wire/conditions.ts'
import { childOf, parseXml, type XmlElement } from '../wire/parse-xml.ts'
import { refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { element, xmlDeclaration } from '../wire/xml.ts'
import { namedRecord, needOnPath, type ReadTarget, subjectOf } from './target.ts'

/** Get Blob Tags and Set Blob Tags. */
export const tagVerbs: readonly Verb[] = [
  {
    name: 'GetBlobTags',
    matches: (request) => isTagsOf(request, 'GET'),
    needs: (request) => needOnPath(request, 'tags'),
    run: getTags,
  },
  {
    name: 'SetBlobTags',
    matches: (request) => isTagsOf(request, 'PUT'),
    needs: (request) => needOnPath(request, 'tags'),
    run: setTags,
  },
]

/** The `Tags` element of a document or a listing. */
export function tagsElement(tags: Tags): string {
  const set = Object.entries(tags).map(
    ([name, value]) => `<Tag>${element('Key', name)}${element('Value', value)}</Tag>`,
  )
  return `<Tags><TagSet>${set.join('')}</TagSet></Tags>`
}

function getTags(context: VerbContext): StorageAnswer {
  refuseHierarchical(context)
  const target = namedRecord(context)
  check(context, target, 'read')
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: `${xmlDeclaration}${tagsElement(target.record.tags)}`,
  }
}

async function setTags(context: VerbContext): Promise<StorageAnswer> {
  refuseHierarchical(context)
  const body = await context.request.body(maxBodyBytes)
  checkBody(context.request, body)
  const tags = readTags(parseXml(body))
  const target = namedRecord(context)
  if (target.snapshot !== undefined) throw refusal('InvalidOperation')
  check(context, target, 'write')
  storeTags(target, tags)
  return { status: 204 }
}

/** Tags are no part of what the etag and the time stand for, so both stay. */
function storeTags({ place, name, record, isCurrent }: ReadTarget, tags: Tags): void {
  const state = stateOf(place.container, name)
  const tagged = (former: BlobRecord): BlobRecord => ({ ...former, tags })
  if (isCurrent) {
    if (state.current?.kind !== 'blob') throw refusal('BlobNotFound')
    place.container.paths.put({ ...state, current: tagged(state.current) })
    return
  }
  const versionId = record.versionId ?? ''
  const versions = new Map(state.versions).set(versionId, tagged(record))
  place.container.paths.put({ ...state, versions })
}

/** Only the condition on tags counts here, as the service documents it, and the lease. */
function check(context: VerbContext, target: ReadTarget, use: 'read' | 'write'): void {
  checkWrite(readConditions(context.request), subjectOf(target.record))
  if (!target.isCurrent) return
  assertLease(target.state, context.request, { use, nowMs: context.account.nowMs() })
}

function readTags(document: XmlElement): Tags {
  const set = childOf(document, 'TagSet')
  if (document.name !== 'Tags' || set === undefined) throw refusal('InvalidXmlDocument')
  return checkTags(
    set.children.map((tag) => {
      const [key, value] = [childOf(tag, 'Key'), childOf(tag, 'Value')]
      if (key === undefined || value === undefined) throw refusal('InvalidXmlDocument')
      return [key.text, value.text] as const
    }),
  )
}

function isTagsOf({ method, path, query }: StorageRequest, wanted: string): boolean {
  return method === wanted && path !== undefined && query.get('comp') === 'tags'
}

/** Hierarchical accounts have no tags. */
function refuseHierarchical({ account }: VerbContext): void {
  if (account.settings.hierarchical) throw refusal('BlobTagsNotSupportedForAccountType')
}

const maxBodyBytes = 64 * 1024
