import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AzureBlobStore } from '../../blob/azure-store.ts'
import { KiB, MiB } from '../../byte-range.ts'
import { systemClock } from '../../clock.ts'
import { rehearse } from '../../fuse/rehearsal.ts'
import { type HttpHandler, intercept } from '../../http/handler.ts'
import { retry } from '../../http/retry.ts'
import { Namespace } from '../../namespace/namespace.ts'
import { ChunkCache } from '../../transfer/chunk-cache.ts'
import { DiskCache } from '../../transfer/disk-cache.ts'
import { MemoryBudget } from '../../transfer/memory-budget.ts'
import { Vfs } from '../../vfs/vfs.ts'
import { CallMeter } from './call-meter.ts'

// V8 compiles a function when it is first called. What a first read runs through takes 10 ms of the
// processor then, and 3 ms the second time (decisions/0069); so a drive reads a file once before
// anybody waits for it: one that exists here alone, answered by the function below.

const container = 'rehearsal'
const name = 'file'
const etag = '"rehearsal"'
const sizeBytes = 256 * KiB
const endpoint = new URL('http://rehearsal.invalid')

/**
 * Has a file looked up, opened, read and closed as programs will, through memory and, `withDisk`, a cache on the
 * disk of its own. Sends nothing and leaves nothing. Never rejects; false when something failed: then the first
 * program that reads waits a little longer.
 */
export async function rehearseReading({
  withDisk,
}: {
  readonly withDisk: boolean
}): Promise<boolean> {
  try {
    return await (withDisk ? readThroughDisk() : readOnce(undefined))
  } catch {
    return false
  }
}

async function readThroughDisk(): Promise<boolean> {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-rehearsal-'))
  const disk = new DiskCache({ directory })
  try {
    await readOnce(disk)
  } finally {
    await disk.close()
    await rm(directory, { recursive: true, force: true })
  }
  return disk.stats.writtenBytes > 0
}

async function readOnce(disk: DiskCache | undefined): Promise<boolean> {
  const http = intercept(answer, retry({ clock: systemClock }))
  const store = new AzureBlobStore({ account: container, endpoint, http })
  const memory = new MemoryBudget({ maxBytes: 4 * MiB })
  const namespace = new Namespace({ store, clock: systemClock, scanTrees: true })
  const vfs = new Vfs({
    namespace,
    root: { container, name: '' },
    ...{ uid: 0, gid: 0, readOnly: true, spoolDirectory: tmpdir() },
    // Memory that is used again is taken in one piece, for which V8 would collect all of its heap.
    chunkCache: new ChunkCache({ maxBytes: MiB, disk, memory }),
    memory,
  })
  const meter = new CallMeter({ nowMs: () => performance.now() })
  try {
    await rehearse(meter.meter(vfs), name)
    return true
  } finally {
    meter.close()
    await vfs.close()
  }
}

/** As the service answers: one blob in a listing, or the beginning of its bytes. */
const answer: HttpHandler = async ({ url, headers, into }) => {
  if (url.searchParams.get('comp') === 'list') {
    return { status: 200, headers: {}, body: Buffer.from(listing) }
  }
  const [, first = '0', last = '0'] = /bytes=(\d+)-(\d+)/.exec(headers['x-ms-range'] ?? '') ?? []
  const length = Number(last) + 1 - Number(first)
  const body = (into ?? Buffer.alloc(length)).subarray(0, length)
  const range = `bytes ${first}-${last}/${sizeBytes}`
  const told = { ...described, 'content-length': String(length), 'content-range': range }
  return { status: 206, headers: told, body }
}

const modified = 'Thu, 01 Jan 2026 00:00:00 GMT'
const described = { etag, 'last-modified': modified, 'x-ms-blob-type': 'BlockBlob' }
const listing = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs><Blob><Name>${name}</Name>
<Properties><Last-Modified>${modified}</Last-Modified><Etag>${etag}</Etag><Content-Length>${sizeBytes}</Content-Length>
<BlobType>BlockBlob</BlobType></Properties></Blob></Blobs><NextMarker /></EnumerationResults>`
