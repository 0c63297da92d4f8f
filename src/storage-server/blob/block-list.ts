import { emptyContent } from '../model/extent.ts'
import type { Block, Encryption } from '../model/record.ts'
import { parseTagHeader } from '../model/tags.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkBody } from '../wire/checksums.ts'
import { readContentHeaders } from '../wire/content-headers.ts'
import { httpDate } from '../wire/http-date.ts'
import { readMetadata } from '../wire/metadata.ts'
import { parseXml, type XmlElement } from '../wire/parse-xml.ts'
import { invalidQuery, refusal } from '../wire/refusals.ts'
import { element, xmlDeclaration } from '../wire/xml.ts'
import { newEncryption } from './encryption.ts'
import { isBlockId } from './put-block.ts'
import { assertReplaceable, storeBlob } from './store-blob.ts'
import {
  namedRecord,
  needOnPath,
  stamp,
  type Target,
  targetOf,
  writeTarget,
  writtenHeaders,
} from './target.ts'
import { readTierHeader } from './tier-header.ts'

const maxBlocks = 50_000
const maxListBytes = 16 * 1024 * 1024

/** Put Block List and Get Block List. */
export const blockListVerbs: readonly Verb[] = [
  {
    name: 'PutBlockList',
    matches: ({ method, path, query }) =>
      method === 'PUT' && path !== undefined && query.get('comp') === 'blocklist',
    needs: (request) => needOnPath(request, 'write', 'create'),
    run: putBlockList,
  },
  {
    name: 'GetBlockList',
    matches: ({ method, path, query }) =>
      method === 'GET' && path !== undefined && query.get('comp') === 'blocklist',
    needs: (request) => needOnPath(request, 'read'),
    run: getBlockList,
  },
]

async function putBlockList(context: VerbContext): Promise<StorageAnswer> {
  const { request, account } = context
  const body = await request.body(maxListBytes)
  const checked = checkBody(request, body)
  const entries = readList(parseXml(body))
  const target = writeTarget(context)
  assertCommittable(target)
  if (target.record !== undefined) context.authorize(needOnPath(request, 'write'))
  const blocks = resolveBlocks(entries, target)
  const encryption = newEncryption(request, target.place.container.properties)
  assertOneEncryption(blocks, encryption)
  const sizeBytes = blocks.reduce((sum, { extent }) => sum + extent.sizeBytes, 0)
  const extents = blocks.map(({ extent }) => extent)
  const headers = readContentHeaders(request)
  const record = storeBlob(context, target, {
    kind: 'blob',
    blobType: 'BlockBlob',
    ...stamp(target.place),
    createdMs: account.nowMs(),
    content: sizeBytes === 0 ? emptyContent : { sizeBytes, extents },
    headers: { ...headers, contentType: headers.contentType ?? 'application/octet-stream' },
    blocks,
    metadata: readMetadata(request),
    tags: parseTagHeader(request.headers['x-ms-tags'] ?? ''),
    tier: readTierHeader(request, account.nowMs()),
    encryption,
    writtenBy: 'blob',
  })
  return { status: 201, headers: { ...writtenHeaders(record), ...checked } }
}

/** A file that dfs wrote has no blocks that a list could name beside new ones. */
function assertCommittable(target: Target): void {
  assertReplaceable(target, 'BlockBlob')
  const { record } = target
  if (record?.kind === 'blob' && record.writtenBy === 'dfs') throw refusal('InvalidBlobOrBlock')
}

interface ListedBlock {
  readonly from: 'Latest' | 'Committed' | 'Uncommitted'
  readonly id: string
}

function readList(list: XmlElement): readonly ListedBlock[] {
  if (list.name !== 'BlockList') throw refusal('InvalidXmlDocument')
  if (list.children.length > maxBlocks) throw refusal('BlockListTooLong')
  return list.children.map(({ name, text }) => {
    if (name !== 'Latest' && name !== 'Committed' && name !== 'Uncommitted') {
      throw refusal('InvalidXmlDocument')
    }
    const id = text.trim()
    if (!isBlockId(id)) throw refusal('InvalidBlockId')
    return { from: name, id }
  })
}

function resolveBlocks(entries: readonly ListedBlock[], { record, state }: Target): Block[] {
  const committed = new Map(
    record?.kind === 'blob' ? record.blocks?.map((block) => [block.id, block]) : [],
  )
  return entries.map(({ from, id }) => {
    const staged = from === 'Committed' ? undefined : state.staged?.get(id)
    const block = staged ?? (from === 'Uncommitted' ? undefined : committed.get(id))
    if (block === undefined) throw refusal('InvalidBlockList')
    return block
  })
}

/** Blocks are encrypted when they are staged: a blob is of one key. */
function assertOneEncryption(
  blocks: readonly Block[],
  { scope, keySha256 }: Encryption = {},
): void {
  const isOther = ({ encryption }: Block) =>
    encryption?.scope !== scope || encryption?.keySha256 !== keySha256
  if (blocks.some(isOther)) throw refusal('BlobCustomerSpecifiedEncryptionMismatch')
}

function getBlockList(context: VerbContext): StorageAnswer {
  const { query } = context.request
  const type = query.get('blocklisttype')?.toLowerCase() ?? 'committed'
  if (!['committed', 'uncommitted', 'all'].includes(type)) throw invalidQuery('blocklisttype', type)
  const target = targetOf(context)
  const former = query.has('snapshot') || query.has('versionid')
  const isStagedOnly = target.record === undefined && (target.state.staged?.size ?? 0) > 0
  const record = isStagedOnly && !former ? undefined : namedRecord(context).record
  if (record !== undefined && record.blobType !== 'BlockBlob') throw refusal('InvalidBlobType')
  const committed = type === 'uncommitted' ? '' : listOf('CommittedBlocks', record?.blocks ?? [])
  const staged = former ? [] : (target.state.staged?.values() ?? [])
  const uncommitted = type === 'committed' ? '' : listOf('UncommittedBlocks', staged)
  return {
    status: 200,
    headers: {
      'content-type': 'application/xml',
      etag: record?.etag,
      'last-modified': record && httpDate(record.lastModifiedMs),
      'x-ms-blob-content-length': String(record?.content.sizeBytes ?? 0),
    },
    body: `${xmlDeclaration}<BlockList>${committed}${uncommitted}</BlockList>`,
  }
}

function listOf(name: string, blocks: Iterable<Block>): string {
  let inner = ''
  for (const { id, extent } of blocks) {
    inner += `<Block>${element('Name', id)}${element('Size', extent.sizeBytes)}</Block>`
  }
  return `<${name}>${inner}</${name}>`
}
