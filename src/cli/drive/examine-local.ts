/** What drives keep on this machine: caches, and versions that are not in Azure. */
import { access, constants, readdir, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { GiB } from '../../byte-range.ts'
import { systemClock } from '../../clock.ts'
import type { Journal } from '../../vfs/journal.ts'
import type { KeptVersion } from '../../vfs/journal-record.ts'
import { Journals } from '../../vfs/journals.ts'
import { formatBytes, formatCount } from '../output.ts'
import type { Finding } from './examine.ts'

/** The disk that drives cache on, or without one that they keep unsaved files on. */
export async function examineCache(
  cacheDir: string | undefined,
  stateDirectory: string,
): Promise<Omit<Finding, 'name'>> {
  const directory = await nearest(cacheDir ?? stateDirectory)
  const what = cacheDir === undefined ? 'no --cache-dir; unsaved files go to' : 'blocks go to'
  try {
    const { bavail, bsize } = await statfs(directory)
    const freeBytes = bavail * bsize
    const detail = `${what} ${cacheDir ?? stateDirectory}, which has ${formatBytes(freeBytes)} free`
    if (!(await isOwnPlace(directory))) {
      const why = `${directory} is no directory, or may not be written: nothing is kept`
      return { verdict: 'warned', detail: `${detail}, but ${why}` }
    }
    if (freeBytes >= GiB) return { verdict: 'ok', detail }
    return { verdict: 'warned', detail: `${detail}: files that cannot be stored need room there` }
  } catch (error) {
    return {
      verdict: 'warned',
      detail: `${directory}: ${error instanceof Error ? error.message : error}`,
    }
  }
}

/** One finding for each container whose journal has something; one that says so where none has. */
export async function examineJournals(directories: readonly string[]): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const directory of new Set(directories)) {
    const place = join(directory, 'journal')
    for (const name of await readdir(place).catch(() => [])) {
      const found = await examineJournal(join(place, name))
      if (found !== undefined) findings.push({ name: 'journal', verdict: 'warned', detail: found })
    }
  }
  if (findings.length > 0) return findings
  return [{ name: 'journal', verdict: 'ok', detail: 'nothing is left that was not stored' }]
}

async function examineJournal(directory: string): Promise<string | undefined> {
  const journals = new Journals({ directory, clock: systemClock })
  const kept = await summaryOf([journals.kept])
  const promised = await summaryOf(await journals.orphans())
  const said = [
    ...(kept === undefined
      ? []
      : [
          `${kept.text} could not be stored: each .json in ${join(directory, 'kept')} names its file`,
        ]),
    ...(promised === undefined
      ? []
      : [
          `${promised.text} promised by a drive that died: mount ${promised.container} to store them`,
        ]),
  ]
  return said.length === 0 ? undefined : said.join('; ')
}

async function summaryOf(
  journals: readonly Journal[],
): Promise<{ readonly text: string; readonly container: string } | undefined> {
  const versions = (await Promise.all(journals.map((journal) => journal.list()))).flat()
  const [first] = versions
  if (first === undefined) return undefined
  const bytes = versions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const container = `abfs://${first.path.container}`
  return { text: `${whatOf(versions)} of ${container} (${formatBytes(bytes)})`, container }
}

/** `2 files, 1 directory, 3 removals`, of which there are any. */
function whatOf(versions: readonly KeptVersion[]): string {
  const count = (type: KeptVersion['type']): number =>
    versions.filter((each) => each.type === type).length
  const counts = [
    { count: count(undefined), one: 'file', many: 'files' },
    { count: count('directory'), one: 'directory', many: 'directories' },
    { count: count('removal'), one: 'removal', many: 'removals' },
  ]
  const some = counts.filter((each) => each.count > 0)
  return some.map((each) => formatCount(each.count, each.one, each.many)).join(', ')
}

/** What is there of `directory`, which is made where it is missing. */
async function nearest(directory: string): Promise<string> {
  for (let place = resolve(directory); ; place = dirname(place)) {
    const found = await stat(place).catch(() => undefined)
    if (found !== undefined || place === '/') return place
  }
}

/** A slash at the end is of directories alone. */
async function isOwnPlace(directory: string): Promise<boolean> {
  return access(`${directory}/`, constants.W_OK).then(
    () => true,
    () => false,
  )
}
