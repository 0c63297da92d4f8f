import { lstat, readlink } from 'node:fs/promises'
import { bulkPhase } from '../bulk.ts'
import { isFileSystemError } from '../errors.ts'
import { planTransfers, type Transfer, type TransferRequest } from './destination.ts'
import { pathOf } from './file-info.ts'
import { onLocalDisk } from './local-error.ts'
import { isUnchanged } from './local-file.ts'
import { type LocalEntry, LocalView } from './local-view.ts'
import { attributesOf } from './posix-preserve.ts'
import { checkProgress, tellingView } from './progress.ts'
import type { Remote } from './remote.ts'
import { ensureDirectory, refuseDirectories } from './target-directory.ts'
import {
  bulkOptions,
  countResumed,
  journalOf,
  remembering,
  runTransfer,
  type TransferOptions,
  type TransferResult,
  unlessVanished,
  type Work,
  workOf,
} from './transfer-run.ts'
import { TreeFiles } from './tree-files.ts'
import { parentName } from './tree-view.ts'

/** Uploads. Directories are marked when they are empty, and with `preserve` all. */
export async function putTree(
  remote: Remote,
  request: TransferRequest,
  options: TransferOptions,
): Promise<TransferResult> {
  checkProgress(options)
  const { signal } = options
  const preserve = options.preserve === true
  const moving = new TreeFiles(remote, options.concurrency)
  const { disk } = moving
  const source = tellingView(new LocalView({ followLinks: !preserve, disk }), options)
  const views = { source, target: remote.view }
  const journal = await journalOf(remote, request, { ...options, operation: 'put' })
  const plan = await planTransfers(views, request, { ...options, ...remembering(journal) })
  const work = workOf(plan, options)
  const vanishing = unlessVanished(work, views.source, options)
  const there = await refuseDirectories(remote, work.files, options)
  const onResumed = (bytes: number) => work.tally.addResumed(bytes)
  const put = ({ from, to }: Transfer<LocalEntry>) =>
    work.tally.count(to, async (onBytes) => {
      const done = journal?.doneFile(to)
      const isThere = done !== undefined && there.get(to) === done.etag
      if (isThere && (await isUnchanged(from.name, done))) {
        return countResumed(from.size, onBytes, onResumed)
      }
      const pair = { remote: pathOf(to), local: from.name }
      const resumable = { journal, onResumed }
      await moving.put(pair, { signal, preserve, onBytes, size: from.size, ...resumable })
    })
  const links = preserve ? work.others.filter(({ from }) => from.isLink) : []
  const taken = new Set(links)
  const skipped = work.others.filter((other) => !taken.has(other))
  const files = bulkPhase(work.files, targetOf, (transfer) =>
    vanishing(transfer, () => put(transfer)),
  )
  const phases = [
    { ...files, concurrency: moving.lanes },
    bulkPhase(links, targetOf, (link) => putLink(remote, link, options)),
    bulkPhase(preserve ? work.directories : emptyOnes(work), targetOf, (directory) =>
      putDirectory(remote, directory, options),
    ),
  ]
  return runTransfer(work, phases, { ...bulkOptions(remote, options, 'put'), skipped, journal })
}

async function putLink(
  remote: Remote,
  { from, to }: Transfer<LocalEntry>,
  options: TransferOptions,
): Promise<void> {
  const { signal } = options
  const [target, stats] = await onLocalDisk(from.name, () =>
    Promise.all([readlink(from.name), lstat(from.name, { bigint: true })]),
  )
  const posix = attributesOf(stats)
  try {
    await remote.namespace.createSymlink(pathOf(to), target, { signal, posix })
  } catch (error) {
    if (!isFileSystemError(error, 'EEXIST')) throw error
    await remote.namespace.removeFile(pathOf(to), { signal })
    await remote.namespace.createSymlink(pathOf(to), target, { signal, posix })
  }
}

async function putDirectory(
  remote: Remote,
  { from, to }: Transfer<LocalEntry>,
  options: TransferOptions,
): Promise<void> {
  const { signal, preserve } = options
  const stats = await onLocalDisk(from.name, () => lstat(from.name, { bigint: true }))
  await ensureDirectory(remote, to, { signal, posix: preserve ? attributesOf(stats) : {} })
}

/** Directories that no planned entry implies. */
function emptyOnes(work: Work<LocalEntry>): readonly Transfer<LocalEntry>[] {
  const implied = new Set<string>()
  for (const { to } of [...work.files, ...work.directories]) {
    for (let name = parentName(to); name !== '' && !implied.has(name); name = parentName(name)) {
      implied.add(name)
    }
  }
  return work.directories.filter(({ to }) => !implied.has(to))
}

function targetOf({ to }: Transfer<LocalEntry>): string {
  return to
}
