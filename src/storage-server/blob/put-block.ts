import { stateOf } from '../model/changes.ts'
import { assertLease } from '../model/lease.ts'
import type { Block, PathState } from '../model/record.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkBody } from '../wire/checksums.ts'
import { invalidHeader, invalidQuery, refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { newEncryption } from './encryption.ts'
import { assertLength } from './put-blob.ts'
import { assertReplaceable } from './store-blob.ts'
import { needOnPath, type Target, targetOf } from './target.ts'

const maxBlockBytes = 4000 * 1024 * 1024
const maxIdBytes = 64
const defaultMaxStaged = 100_000

/** Put Block. */
export const putBlockVerb: Verb = {
  name: 'PutBlock',
  matches: ({ method, path, query, headers }) =>
    method === 'PUT' &&
    path !== undefined &&
    query.get('comp') === 'block' &&
    headers['x-ms-copy-source'] === undefined,
  needs: (request) => needOnPath(request, 'write', 'create'),
  run: putBlock,
}

async function putBlock(context: VerbContext): Promise<StorageAnswer> {
  const { request } = context
  assertLength(request)
  if (request.headers['content-length'] === '0') throw invalidHeader('content-length', '0')
  const id = blockIdOf(request)
  stagingTarget(context, id)
  const data = await request.body(maxBlockBytes)
  const checked = checkBody(request, data)
  await stageBlock(context, id, data)
  return { status: 201, headers: { ...checked, 'x-ms-request-server-encrypted': 'true' } }
}

/** Keeps the bytes as a staged block of the request's blob, in the place of one of the same id. */
export async function stageBlock(
  context: VerbContext,
  id: string,
  data: Uint8Array,
): Promise<void> {
  const extent = await context.account.extents.write(data)
  const { place, name, state } = stagingTarget(context, id)
  const encryption = newEncryption(context.request, place.container.properties)
  const block = encryption === undefined ? { id, extent } : { id, extent, encryption }
  place.container.paths.put({ ...state, name, staged: withBlock(state, block) })
}

/** The `blockid` of a request: 400 when it is absent, no base64 or longer than 64 bytes. */
export function blockIdOf({ query }: StorageRequest): string {
  const id = query.get('blockid')
  if (id === undefined) {
    throw refusal('MissingRequiredQueryParameter', { details: { QueryParameterName: 'blockid' } })
  }
  if (!isBlockId(id)) throw invalidQuery('blockid', id, 'Not a valid base64 string.')
  return id
}

/** Whether the text is base64 of 1 to 64 bytes. */
export function isBlockId(text: string): boolean {
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(text) && text.length % 4 === 0
  return isBase64 && Buffer.byteLength(text, 'base64') <= maxIdBytes
}

/** Where a block may be staged: 400 `InvalidBlobOrBlock` when ids differ in length. */
export function stagingTarget(context: VerbContext, id: string): Target {
  const target = targetOf(context)
  const { request, account } = context
  assertLease(target.state, request, { use: 'write', nowMs: account.nowMs() })
  assertReplaceable(target, 'BlockBlob')
  const { staged } = stateOf(target.place.container, target.name)
  const [first] = staged?.keys() ?? []
  if (first !== undefined && first.length !== id.length) throw refusal('InvalidBlobOrBlock')
  const { maxStagedBlocks = defaultMaxStaged } = account.settings
  if ((staged?.size ?? 0) >= maxStagedBlocks && staged?.has(id) !== true) {
    throw refusal('BlockCountExceedsLimit')
  }
  return target
}

/** Copying the map for each block would make long lists quadratic: it grows in place. */
function withBlock({ staged }: PathState, block: Block): ReadonlyMap<string, Block> {
  const blocks = staged instanceof Map ? staged : new Map<string, Block>(staged)
  blocks.delete(block.id)
  return blocks.set(block.id, block)
}
