import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { StorageAccount } from '../../src/storage-server/model/account.ts'
import type { Container } from '../../src/storage-server/model/container.ts'
import type { Extent } from '../../src/storage-server/model/extent.ts'
import type { PathRecord, PathState } from '../../src/storage-server/model/record.ts'
import { runRequest } from '../../src/storage-server/run-verb.ts'
import type { StorageAnswer } from '../../src/storage-server/wire/answer.ts'
import { parseRequest } from '../../src/storage-server/wire/parse-request.ts'
import { StorageError } from '../../src/storage-server/wire/storage-error.ts'
import { openAccess } from './dfs-server.ts'

/** A directory that goes with the test. */
export function tempDirectory(t: Pick<Test, 'teardown'>): string {
  const directory = mkdtempSync(join(tmpdir(), 'abfs-disk-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'storage')
}

/** A request in short; `target` begins with the container's slash. */
export interface AccountRequest {
  readonly method: string
  readonly target: string
  readonly face?: 'blob' | 'dfs'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
}

/** Runs a request against an account as its server would, everything allowed. */
export async function ask(
  account: StorageAccount,
  { method, target, face = 'blob', headers, body = '' }: AccountRequest,
): Promise<StorageAnswer | StorageError> {
  const { name } = account.settings
  const data = Buffer.from(body)
  const sent = {
    host: `${name}.${face}.localhost`,
    'x-ms-version': '2023-11-03',
    'content-length': String(data.byteLength),
    ...headers,
  }
  try {
    const request = parseRequest(
      {
        method,
        url: target,
        rawHeaders: Object.entries(sent).flat(),
        secure: false,
        remoteAddress: '127.0.0.1',
        body: async () => data,
      },
      (known) => known === name,
    )
    return await runRequest({ accounts: new Map([[name, account]]), access: openAccess }, request)
  } catch (error) {
    if (error instanceof StorageError) return error
    throw error
  }
}

/**
 * All that an account holds, bytes and times included, as plain JSON. Extents are numbered as they
 * first come by, so that two accounts are the same only where the same extents are shared.
 */
export async function dump(account: StorageAccount): Promise<unknown> {
  const extents = new Map<Extent, Promise<ExtentDump>>()
  const containers = []
  for (const container of account.containers()) {
    containers.push(await dumpContainer(container, extents))
  }
  const retired = []
  for (const [version, container] of account.retiredContainers()) {
    retired.push([version, await dumpContainer(container, extents)])
  }
  const bytes = await Promise.all(extents.values())
  const { settings } = account
  return JSON.parse(JSON.stringify({ settings, containers, retired, bytes }, inOrder))
}

/** Names in one order, so that dumps can be compared as texts. */
function inOrder(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
}

interface ExtentDump {
  readonly sizeBytes: number
  readonly sha: string
}
type Extents = Map<Extent, Promise<ExtentDump>>

async function dumpContainer({ properties, paths }: Container, extents: Extents): Promise<unknown> {
  const states = [...paths.from('')].map((state) => dumpState(state, extents))
  return { ...properties, policies: [...properties.policies], size: paths.size, states }
}

function dumpState(state: PathState, extents: Extents): unknown {
  const { current, staged, appended, snapshots, versions, deleted, ...rest } = state
  const record = (one: PathRecord) => dumpRecord(one, extents)
  return {
    ...rest,
    current: current && record(current),
    staged: staged && [...staged].map(([key, one]) => [key, one.id, place(one.extent, extents)]),
    appended: appended && [...appended].map(([at, one]) => [at, place(one, extents)]),
    snapshots: snapshots && [...snapshots].map(([key, one]) => [key, record(one)]),
    versions: versions && [...versions].map(([key, one]) => [key, record(one)]),
    deleted: deleted?.map((one) => ({ ...one, record: record(one.record) })),
  }
}

function dumpRecord(record: PathRecord, extents: Extents): unknown {
  if (record.kind === 'directory') return record
  const { content, blocks } = record
  return {
    ...record,
    content: [content.sizeBytes, content.extents.map((extent) => place(extent, extents))],
    blocks: blocks?.map(({ id, extent }) => [id, place(extent, extents)]),
  }
}

function place(extent: Extent, extents: Extents): unknown {
  if (extent.zeros === true || extent.sizeBytes === 0) return { zeros: extent.sizeBytes }
  const { of, start } = extent.part ?? { of: extent, start: 0 }
  if (!extents.has(of)) extents.set(of, dumpExtent(of))
  return { root: [...extents.keys()].indexOf(of), start, sizeBytes: extent.sizeBytes }
}

async function dumpExtent(extent: Extent): Promise<ExtentDump> {
  const bytes = await extent.read(0, extent.sizeBytes)
  return { sizeBytes: extent.sizeBytes, sha: createHash('sha1').update(bytes).digest('hex') }
}
