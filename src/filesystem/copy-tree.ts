import type { CallOptions } from '../blob/store.ts'
import { bulkPhase } from '../bulk.ts'
import type { BlobPath } from '../path.ts'
import { copyAcross } from './copy-across.ts'
import { planTransfers, type Transfer, type TransferRequest } from './destination.ts'
import { changedInfo, type FileInfo, pathOf } from './file-info.ts'
import { checkProgress, tellingView } from './progress.ts'
import type { Remote } from './remote.ts'
import { ensureDirectory, refuseDirectories } from './target-directory.ts'
import {
  bulkOptions,
  runTransfer,
  type TransferOptions,
  type TransferResult,
  unlessVanished,
  workOf,
} from './transfer-run.ts'

/**
 * Copies on the server's side, from `source` where that is another account; links and attributes are
 * metadata and come along.
 */
export async function copyTree(
  remote: Remote,
  request: TransferRequest,
  options: TransferOptions & { readonly source?: Remote | undefined },
): Promise<TransferResult> {
  const { signal, resume, source = remote } = options
  if (resume !== undefined) {
    throw new TypeError('resume: for put and get; a copy has no bytes to move again, repeat it')
  }
  checkProgress(options)
  const views = { source: tellingView(source.wholeView, options), target: remote.view }
  const plan = await planTransfers(views, request, options)
  const work = workOf(withBlobs(plan), options)
  const vanishing = unlessVanished(work, views.source, options)
  await refuseDirectories(remote, work.files, options)
  const copy = ({ from, to }: Transfer<FileInfo>) =>
    work.tally.count(to, async (onBytes) => {
      await copyOne(source, remote, { from: pathOf(from.name), to: pathOf(to), signal })
      onBytes(from.size)
    })
  const marked = work.directories.filter(({ from }) => from.etag !== undefined)
  const phases = [
    bulkPhase(work.files, targetOf, (transfer) => vanishing(transfer, () => copy(transfer))),
    bulkPhase(marked, targetOf, ({ from: { mode, uid, gid, mtimeNs }, to }) =>
      ensureDirectory(remote, to, { signal, posix: { mode, uid, gid, mtimeNs } }),
    ),
  ]
  return runTransfer(work, phases, { ...bulkOptions(remote, options, 'copy'), skipped: [] })
}

async function copyOne(
  source: Remote,
  remote: Remote,
  { from, to, signal }: CallOptions & { readonly from: BlobPath; readonly to: BlobPath },
): Promise<void> {
  if (source === remote) await remote.namespace.copyFile(from, to, { signal })
  else await copyAcross({ remote: source, path: from }, { remote, path: to }, { signal })
}

/** What is no directory is a blob, and copied as one. */
function withBlobs(plan: readonly Transfer<FileInfo>[]): Transfer<FileInfo>[] {
  return plan.map((transfer) =>
    transfer.from.type === 'other'
      ? { ...transfer, from: changedInfo(transfer.from, { type: 'file' }) }
      : transfer,
  )
}

function targetOf({ to }: Transfer<FileInfo>): string {
  return to
}
