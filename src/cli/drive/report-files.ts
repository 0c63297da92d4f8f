import { isFileSystemError } from '../../errors.ts'
import { type BlobPath, formatPath } from '../../path.ts'
import type { Account } from '../compose.ts'
import { unsavedState } from './control-server.ts'
import type { DriveReport } from './drive-report.ts'
import { formatMetrics } from './metrics.ts'

/** What the directory of `--stats-dir` holds, by name. Each text is of one report. */
export function reportFiles(
  report: () => DriveReport,
): Readonly<Record<'stats' | 'metrics' | 'health' | 'unsaved', () => string>> {
  return {
    stats: () => line(report()),
    metrics: () => formatMetrics([report()]),
    health: () => line(unsavedState([report()])),
    unsaved: () => report().unsaved.map(line).join(''),
  }
}

/** What lies at the top of a drive under the name of its reports, and what to do; `undefined` when nothing does. */
export async function hiddenByReports(
  { namespace }: Pick<Account, 'namespace'>,
  { root, name, signal }: { readonly root: BlobPath; readonly name: string; signal: AbortSignal },
): Promise<{ readonly path: string; readonly detail: string } | undefined> {
  const path = { ...root, name: root.name === '' ? name : `${root.name}/${name}` }
  const found = await namespace.find(path, { signal }).catch((error: unknown) => {
    // A reserved name, as `.abfs` is at the top of a container, is nobody's file.
    if (isFileSystemError(error, 'ENOENT')) return undefined
    throw error
  })
  if (found === undefined) return undefined
  const detail = `--stats-dir would hide the ${name} that is there: give another name, --stats-dir=NAME`
  return { path: formatPath(path), detail }
}

function line(value: unknown): string {
  return `${JSON.stringify(value)}\n`
}
