/** What a drive would need of its place in Azure, tried without mounting it. */
import { randomUUID } from 'node:crypto'
import { ChangeFeed } from '../../change-feed/change-feed.ts'
import { FileSystemError, isFileSystemError } from '../../errors.ts'
import type { Entry } from '../../namespace/entry.ts'
import type { BlobPath } from '../../path.ts'
import { type IsShown, shownBelow } from '../../vfs/shown-names.ts'
import type { Account } from '../compose.ts'
import { formatCount } from '../output.ts'
import { describeError } from '../report-error.ts'
import type { Finding } from './examine.ts'
import { hiddenByReports } from './report-files.ts'

export interface ProbeOptions {
  /** What the drive would show. */
  readonly root: BlobPath
  /** Whether to write, tag and delete a blob of a name that nobody has. */
  readonly write: boolean
  /** What the directory of reports would be called. */
  readonly statsDir: string | undefined
  /** Whether the drive would read the account's change feed. */
  readonly usesChangeFeed: boolean
  /** What the drive would show of it; absent: all. */
  readonly isShown: IsShown | undefined
  readonly signal: AbortSignal
}

/** Tries what the drive would do, with the credentials it would have. Never rejects for a refusal. */
export async function probePlace(account: Account, options: ProbeOptions): Promise<Finding[]> {
  const { root, isShown, signal } = options
  let entries: readonly Entry[] | undefined
  const looked = await look('list', async () => {
    const all = await listRoot(account, root, signal)
    entries = isShown === undefined ? all : all?.filter(shownBelow(root, isShown))
    const hidden = (all?.length ?? 0) - (entries?.length ?? 0)
    const more = isShown === undefined ? '' : `, and ${hidden} hidden`
    return `signed in to ${account.target.account}; ${describeEntries(entries, root)}${more}`
  })
  // Whoever may not list may not do the rest either, and would be told so four times.
  if (looked.verdict === 'failed') return [looked]
  const list = entries === undefined ? lesser({ ...looked, verdict: 'failed' }) : looked
  const read = await look('read', () => readOne(account, { root, entries: entries ?? [], signal }))
  const reports = await probeReports(account, options)
  const feed = await probeFeed(account, options)
  return [
    list,
    read,
    ...reports,
    ...feed,
    ...(options.write ? await probeWriting(account, options) : []),
  ]
}

/** A drive works without: it then shows what others change later. */
async function probeFeed({ store }: Account, options: ProbeOptions): Promise<Finding[]> {
  if (!options.usesChangeFeed) return []
  const looked = await look('change-feed', async () => {
    await new ChangeFeed(store).poll({ signal: options.signal })
    return 'the account has one, and it may be read'
  })
  const why = `${looked.detail}; changes of others would show after --attr-ttl`
  return [looked.verdict === 'failed' ? { ...looked, verdict: 'warned', detail: why } : looked]
}

async function probeReports(account: Account, options: ProbeOptions): Promise<Finding[]> {
  const { root, statsDir: name, signal } = options
  if (name === undefined) return []
  const looked = await look('stats-dir', async () => {
    const taken = await hiddenByReports(account, { root, name, signal })
    if (taken === undefined) return `nothing else is called ${name}`
    throw new FileSystemError('EEXIST', 'mount', taken)
  })
  return [looked]
}

async function look(name: string, work: () => Promise<string>): Promise<Finding> {
  try {
    return { name, verdict: 'ok', detail: await work() }
  } catch (error) {
    return { name, verdict: 'failed', detail: describeError(error).line }
  }
}

function describeEntries(entries: readonly Entry[] | undefined, root: BlobPath): string {
  if (entries === undefined) return `'${root.name}' does not exist: the drive would be empty`
  return `${formatCount(entries.length, 'name')} in it`
}

/** A prefix that holds nothing yet is an empty drive, `undefined`; its container must exist. */
async function listRoot(
  { namespace }: Account,
  root: BlobPath,
  signal: AbortSignal,
): Promise<readonly Entry[] | undefined> {
  try {
    return await namespace.list(root, { signal })
  } catch (error) {
    if (root.name === '' || !isFileSystemError(error, 'ENOENT')) throw error
    await namespace.stat({ container: root.container, name: '' }, { signal })
    return undefined
  }
}

/** One byte of the first file that has one; a name that does not exist where there is none. */
async function readOne(
  { store }: Account,
  found: { readonly root: BlobPath; readonly entries: readonly Entry[]; signal: AbortSignal },
): Promise<string> {
  const { root, entries, signal } = found
  const file = entries.find(({ type, sizeBytes }) => type === 'file' && sizeBytes > 0)
  if (file !== undefined) {
    await store.get({ ...root, name: file.name }, { range: { start: 0, end: 1 }, signal })
    return `one byte of '${file.name}'`
  }
  try {
    await store.head(ownName(root), { signal })
  } catch (error) {
    // Who may not read is refused before the service says that there is nothing.
    if (!isFileSystemError(error, 'ENOENT')) throw error
  }
  return 'there is no file at its top; asking for one was allowed'
}

async function probeWriting(account: Account, options: ProbeOptions): Promise<Finding[]> {
  const { store, administration } = account
  const { signal } = options
  const path = ownName(options.root)
  const write = await look('write', async () => {
    await store.put(path, new Uint8Array(1), { ifNoneMatch: '*', signal })
    return `one byte as '${path.name}'`
  })
  if (write.verdict === 'failed') return [write]
  const tags = await look('tags', async () => {
    await administration.setTags(path, { probe: 'abfs' }, { signal })
    const { probe } = await administration.getTags(path, { signal })
    return probe === 'abfs' ? 'written and read' : 'written, but not there when they were read'
  })
  // What was written goes, whatever interrupts the plan.
  const removed = await look('delete', async () => {
    await store.delete(path)
    return `'${path.name}' is gone`
  })
  return [write, lesser(tags), removed]
}

/** A drive works without tags: files that have some cannot be written. */
function lesser(finding: Finding): Finding {
  return finding.verdict === 'failed' ? { ...finding, verdict: 'warned' } : finding
}

function ownName({ container, name }: BlobPath): BlobPath {
  const own = `.abfs-plan-${randomUUID()}`
  return { container, name: name === '' ? own : `${name}/${own}` }
}
