import { rm, symlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { bulkPhase } from '../bulk.ts'
import { makeDirectories } from '../make-directories.ts'
import { wholeConsistency } from './consistency.ts'
import { planTransfers, type Transfer, type TransferRequest } from './destination.ts'
import { type FileInfo, pathOf } from './file-info.ts'
import { onLocalDisk } from './local-error.ts'
import { type GetFileOptions, isUnchanged } from './local-file.ts'
import { LocalView } from './local-view.ts'
import { applyAttributes } from './posix-preserve.ts'
import { checkProgress, tellingView } from './progress.ts'
import type { Remote } from './remote.ts'
import type { TransferJournal } from './transfer-journal.ts'
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

/** Downloads. Directories come first, links last, so that no file is written through a link. */
export async function getTree(
  remote: Remote,
  request: TransferRequest,
  options: TransferOptions & Pick<GetFileOptions, 'consistency'>,
): Promise<TransferResult> {
  checkProgress(options)
  const { signal, preserve } = options
  const consistency = wholeConsistency(options.consistency)
  const source = tellingView(remote.wholeView, options)
  const views = { source, target: new LocalView({ followLinks: true }) }
  const journal = await journalOf(remote, request, { ...options, operation: 'get' })
  const plan = await planTransfers(views, request, { ...options, ...remembering(journal) })
  const work = workOf(plan, options)
  const vanishing = unlessVanished(work, views.source, options)
  await makeLocalDirectories(work)
  const moving = new TreeFiles(remote, options.concurrency)
  const onResumed = (bytes: number) => work.tally.addResumed(bytes)
  const get = ({ from, to }: Transfer<FileInfo>) =>
    work.tally.count(to, async (onBytes) => {
      if (await isHere({ from, to }, journal)) return countResumed(from.size, onBytes, onResumed)
      const pair = { remote: pathOf(from.name), local: to }
      const resumable = { journal, onResumed, listed: from }
      const { size } = from
      await moving.get(pair, { signal, preserve, onBytes, consistency, size, ...resumable })
    })
  const [links, skipped] = linksOf(work, options)
  const files = bulkPhase(work.files, targetOf, (transfer) =>
    vanishing(transfer, () => get(transfer)),
  )
  const phases = [
    { ...files, concurrency: moving.lanes },
    bulkPhase(links, targetOf, (link) => getLink(remote, link, options)),
  ]
  const run = { ...bulkOptions(remote, options, 'get'), skipped, journal }
  if (preserve !== true) return runTransfer(work, phases, run)
  // The deepest first: writing into a directory changes its time.
  const directories = bulkPhase([...work.directories].reverse(), targetOf, ({ from, to }) =>
    onLocalDisk(to, () => applyAttributes(to, from)),
  )
  return runTransfer(work, [...phases, { ...directories, concurrency: 1 }], run)
}

/** Whether an earlier run has brought the version that is there, and nobody changed the local file since. */
async function isHere(
  { from, to }: Transfer<FileInfo>,
  journal: TransferJournal | undefined,
): Promise<boolean> {
  const done = journal?.doneFile(to)
  if (done === undefined || done.etag !== from.etag) return false
  return isUnchanged(to, done)
}

/** Links that are made, and what is left out. */
function linksOf(
  { others }: Work<FileInfo>,
  { preserve }: TransferOptions,
): [Transfer<FileInfo>[], Transfer<FileInfo>[]] {
  const isMade = ({ from }: Transfer<FileInfo>) => preserve === true && from.isLink
  return [others.filter(isMade), others.filter((other) => !isMade(other))]
}

async function makeLocalDirectories(work: Work<FileInfo>): Promise<void> {
  const needed = new Set(work.directories.map(({ to }) => to))
  for (const { to } of [...work.files, ...work.others]) needed.add(dirname(to))
  for (const directory of needed) {
    await onLocalDisk(directory, () => makeDirectories(directory))
  }
}

async function getLink(
  remote: Remote,
  { from, to }: Transfer<FileInfo>,
  options: TransferOptions,
): Promise<void> {
  const target = await remote.namespace.readSymlink(pathOf(from.name), { signal: options.signal })
  await onLocalDisk(to, async () => {
    await rm(to, { force: true })
    await symlink(target, to)
    await applyAttributes(to, from, { isLink: true })
  })
}

function targetOf({ to }: Transfer<FileInfo>): string {
  return to
}
