import { FileSystemError } from '../errors.ts'
import type { HttpResponse } from '../http/handler.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { AzureCall } from './azure-client.ts'
import { addConditions, baseHeaders, rangeHeader, resourceUrl } from './azure-request.ts'
import type {
  BlockSourceRange,
  CallOptions,
  CommittedBlock,
  CommittedBlocks,
  Conditions,
} from './store.ts'

/** 50,000 blocks with ids of 88 characters, in XML. */
const maxBlockListBytes = 16 * 1024 * 1024

/** Get Block List. */
export function blockListCall(
  path: BlobPath,
  { signal }: CallOptions,
  kind: 'committed' | 'uncommitted' = 'committed',
): AzureCall {
  const query = `?comp=blocklist&blocklisttype=${kind}`
  const operation = 'blob.getBlocks'
  return { operation, method: 'GET', path, query, maxBodyBytes: maxBlockListBytes, signal }
}

/** The blocks that an answer to `blockListCall` lists; `EIO` when it cannot be read. */
export function blocksFrom(response: HttpResponse, path: BlobPath): CommittedBlocks {
  const { headers } = response
  const blocks = listedBlocks(response, path)
  const total = Number(headers['x-ms-blob-content-length'] ?? Number.NaN)
  const listed = blocks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  if (blocks.length > 0 && listed !== total) throw unreadable(path)
  return { etag: headers['etag'] ?? '', blocks }
}

/** The blocks that an answer to `blockListCall` lists, of whichever kind it asked for. */
export function listedBlocks({ body }: HttpResponse, path: BlobPath): CommittedBlock[] {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8')
  if (!text.includes('<BlockList')) throw unreadable(path)
  const blocks: CommittedBlock[] = []
  for (const [, id = '', size] of text.matchAll(blockPattern)) {
    blocks.push({ id, sizeBytes: Number(size) })
  }
  return blocks
}

const blockPattern = /<Block>\s*<Name>([A-Za-z0-9+/=]+)<\/Name>\s*<Size>(\d+)<\/Size>\s*<\/Block>/g

/** Put Block From URL. Of this account the source is authorised with the request, of another by what it lends. */
export function stageFromCall(
  base: string,
  block: { readonly path: BlobPath; readonly blockId: string; readonly source: BlockSourceRange },
  { signal, leaseId }: CallOptions & Pick<Conditions, 'leaseId'>,
): AzureCall {
  const { path, blockId, source } = block
  const { url = resourceUrl(base, source.path), authorization } = source.access ?? {}
  const proof =
    authorization === undefined ? {} : { 'x-ms-copy-source-authorization': authorization }
  return {
    operation: 'blob.stageBlockFrom',
    method: 'PUT',
    path,
    query: `?comp=block&blockid=${encodeURIComponent(blockId)}`,
    headers: {
      ...addConditions(baseHeaders(), { leaseId }),
      ...proof,
      'x-ms-copy-source': url.href,
      'x-ms-source-range': rangeHeader(source.range),
      'x-ms-source-if-match': source.ifMatch,
    },
    body: new Uint8Array(0),
    signal,
  }
}

function unreadable(path: BlobPath): FileSystemError {
  const detail = 'the service sent a list of blocks that cannot be read'
  return new FileSystemError('EIO', 'blob.getBlocks', { path: formatPath(path), detail })
}
