/**
 * Copies of blobs that a key of the customer's encrypts, which Copy Blob cannot read. A small one passes through here: it is
 * read and put. Of a larger one the service reads the blocks itself where it takes a key for the source, else they pass
 * through here too. Like Copy Blob it makes the destination in one step, at the end, and of one version of the source.
 */
import { randomBytes } from 'node:crypto'
import { type ByteRange, MiB, splitRange } from '../byte-range.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type {
  BlobProperties,
  BlobStore,
  CopiedProperties,
  CopyOptions,
  PutOptions,
} from './store.ts'
import { maxBlocks } from './validate.ts'

/** What passes through here at once, of each copy: a tree has many under way. */
const pieceBytes = 4 * MiB
/** What the service moves by one request. */
const blockBytes = 64 * MiB
const blocksAtOnce = 4
const piecesAtOnce = 2
/** Of a block's id: what tells blocks of one copy from all others, and which of them it is. */
const sessionBytes = 12
const indexBytes = 4
/** With fewer, blocks of two writers might have one id. */
const leastSessionBytes = 8
/** What a blob may have staged (Put Block). */
const maxStaged = 100_000

type Parts = Pick<
  BlobStore,
  'get' | 'put' | 'stageBlock' | 'stageBlockFrom' | 'commitBlocks' | 'getBlocks' | 'getStagedBlocks'
>

interface Copy {
  readonly from: BlobPath
  readonly to: BlobPath
}

/** One version of the source, its beginning, and how its copy is described. */
interface Source extends Copy {
  readonly version: BlobProperties
  readonly start: Uint8Array
  readonly described: PutOptions
}

/** As `BlobStore.copy`; `ENOTSUP` for what is no block blob. */
export async function copyWithKey(
  store: Parts,
  copy: Copy,
  options: CopyOptions,
): Promise<CopiedProperties> {
  const { from } = copy
  const { sourceIfMatch, signal } = options
  const first = { start: 0, end: pieceBytes }
  const found = await store.get(from, { range: first, ifMatch: sourceIfMatch, signal })
  const { data: start, properties: version } = found
  if (version.blobType !== 'BlockBlob') throw otherType(copy, version)
  const source = { ...copy, version, start, described: described(version, options) }
  if (copy.from.container === copy.to.container && copy.from.name === copy.to.name) {
    return commitAnew(store, source)
  }
  if (version.sizeBytes === start.byteLength) return store.put(copy.to, start, source.described)
  return commit(store, source, await stageAll(store, source))
}

/** All but the version's bytes. */
function described(
  { metadata, contentType, headers, sizeBytes, written }: BlobProperties,
  options: CopyOptions,
): PutOptions {
  const { ifMatch, ifNoneMatch, leaseId, tier, tags, signal } = options
  const crc64 = written?.sizeBytes === sizeBytes ? written.crc64 : undefined
  const said = { metadata: options.metadata ?? metadata, contentType, headers, crc64 }
  return { ...said, ifMatch, ifNoneMatch, leaseId, tier, tags, signal }
}

/** A blob that is copied onto itself keeps its blocks, and loses those that are staged beside them. */
async function commitAnew(store: Parts, source: Source): Promise<CopiedProperties> {
  const { from, to, version, start, described } = source
  const condition = { ...described, ifMatch: described.ifMatch ?? version.etag }
  const { blocks, etag } = await store.getBlocks(from, { signal: described.signal })
  if (etag !== version.etag)
    throw new FileSystemError('ESTALE', operation, { path: formatPath(from) })
  const ids = blocks.map(({ id }) => id)
  if (ids.length > 0) return commit(store, { ...source, described: condition }, ids)
  if (version.sizeBytes === start.byteLength) return store.put(to, start, condition)
  const anew = { ...source, described: condition }
  const session = await sessionBeside(store, anew)
  return session === undefined
    ? putWhole(store, anew)
    : commit(store, anew, await stageAll(store, anew, session))
}

/**
 * How long the session's part of an id is beside what is staged for the blob, whose ids all have one length; `undefined` where
 * blocks of this copy cannot stand there.
 */
async function sessionBeside(
  store: Parts,
  { from, version, described: { signal } }: Source,
): Promise<number | undefined> {
  const [first, ...others] = await store.getStagedBlocks(from, { signal })
  if (first === undefined) return sessionBytes
  const blocks = Math.ceil(version.sizeBytes / pieceBytes)
  if (others.length + 1 + blocks > maxStaged) return undefined
  const length = Buffer.from(first.id, 'base64').byteLength - indexBytes
  return length < leastSessionBytes ? undefined : length
}

/** Takes the blob's own size of memory: a blob that is put at once is no larger than one request may be. */
async function putWhole(
  store: Parts,
  { from, to, version, described }: Source,
): Promise<CopiedProperties> {
  const range = { start: 0, end: version.sizeBytes }
  const { signal } = described
  const { data } = await store.get(from, { range, ifMatch: version.etag, signal })
  return store.put(to, data, described)
}

const operation = 'blob.copy'

function commit(
  store: Parts,
  { to, version: { sizeBytes }, described }: Source,
  ids: readonly string[],
): Promise<CopiedProperties> {
  return store.commitBlocks(to, ids, { ...described, sizeBytes })
}

async function stageAll(
  store: Parts,
  source: Source,
  length: number = sessionBytes,
): Promise<readonly string[]> {
  const { to, version, start, described } = source
  const { leaseId, signal } = described
  const session = randomBytes(length)
  const begin = idOf(session, 0)
  await store.stageBlock(to, begin, start, { leaseId, signal })
  const rest = { start: start.byteLength, end: version.sizeBytes }
  try {
    return [begin, ...(await stageOnService(store, source, { rest, session }))]
  } catch (error) {
    if (!isBeyondReach(error)) throw error
    return [
      begin,
      ...(await stageThroughHere(store, source, { rest, session: randomBytes(length) })),
    ]
  }
}

interface Rest {
  readonly rest: ByteRange
  readonly session: Buffer
}

function stageOnService(
  store: Parts,
  { from, to, version: { etag: ifMatch }, described: { leaseId, signal } }: Source,
  { rest, session }: Rest,
): Promise<string[]> {
  return mapConcurrent(divided(rest, blockBytes), blocksAtOnce, async (range, index) => {
    const id = idOf(session, index + 1)
    await store.stageBlockFrom(to, id, { path: from, range, ifMatch }, { leaseId, signal })
    return id
  })
}

function stageThroughHere(
  store: Parts,
  { from, to, version: { etag: ifMatch }, described: { leaseId, signal } }: Source,
  { rest, session }: Rest,
): Promise<string[]> {
  return mapConcurrent(divided(rest, pieceBytes), piecesAtOnce, async (range, index) => {
    const id = idOf(session, index + 1)
    const { data } = await store.get(from, { range, ifMatch, signal })
    await store.stageBlock(to, id, data, { leaseId, signal })
    return id
  })
}

/** A service that does not know keys of sources, or the version that has them. */
function isBeyondReach(error: unknown): boolean {
  if (isFileSystemError(error, 'ENOTSUP', 'EINVAL', 'EACCES')) return true
  return isFileSystemError(error) && error.serviceCode === 'CannotVerifyCopySource'
}

function divided(range: ByteRange, usual: number): ByteRange[] {
  return splitRange(range, Math.max(usual, Math.ceil((range.end - range.start) / (maxBlocks - 1))))
}

function idOf(session: Buffer, index: number): string {
  const end = Buffer.alloc(indexBytes)
  end.writeUInt32BE(index)
  return Buffer.concat([session, end]).toString('base64')
}

function otherType({ from, to }: Copy, { blobType }: BlobProperties) {
  const detail = `a ${blobType ?? 'blob of another type'} that a key of the customer's encrypts is neither copied nor renamed, but a block blob is`
  const dest = formatPath(to)
  return new FileSystemError('ENOTSUP', operation, { path: formatPath(from), dest, detail })
}
