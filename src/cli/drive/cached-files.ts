/** Which files of Azure `abfs warm` and `abfs evict` are about, and where they are kept. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Command } from 'commander'
import { type AzureUrl, parseAzureUrl } from '../../azure-url.ts'
import { runtimeDirectory } from '../../config.ts'
import { FileSystemError, isFileSystemError } from '../../errors.ts'
import { compilePattern, hasMagic, pathMatcher } from '../../filesystem/pattern.ts'
import type { Entry } from '../../namespace/entry.ts'
import { type BlobPath, formatPath } from '../../path.ts'
import { DiskCache, type VersionKey } from '../../transfer/disk-cache.ts'
import { shownBelow } from '../../vfs/shown-names.ts'
import type { Account } from '../compose.ts'
import { type CliContext, configOf } from '../context.ts'
import { parseLocation } from '../location.ts'
import { usageError } from '../usage.ts'
import { parseSize } from './drive-options.ts'
import { type CacheSettings, recallDrives } from './registry.ts'
import { hidesByTags, hidesByTime, reachedBy, shownBy } from './shown.ts'

/** Where files are, and which of them are meant, where not all. */
export interface FilesPlace extends BlobPath {
  readonly isShown?: ((entry: Entry) => boolean) | undefined
  /** Whether that takes the time of a file. */
  readonly hidesByTime?: boolean | undefined
  /** Whether it was named by the directory of a drive. */
  readonly isDrive?: true
  /** The cache of the drive that shows them; `undefined` where it has none, or none was named. */
  readonly cache?: CacheSettings | undefined
}

/** The place that `text` names: a URL, or what the drive shows that a local directory lies in. */
export function placeOf(text: string, { environment }: CliContext): AzureUrl & FilesPlace {
  const location = parseLocation(text)
  if (location.kind === 'remote') return location.url
  const place = resolve(text)
  const drives = recallDrives(runtimeDirectory(environment, process.getuid?.() ?? 0))
  const drive = drives.find(({ directory }) => `${place}/`.startsWith(`${directory}/`))
  if (drive === undefined) {
    throw usageError(`${place} lies in no drive of this user: write abfs://CONTAINER[/PATH]`)
  }
  if (drive.isPast === true) {
    throw usageError(`${drive.directory} shows the past, which is kept when it is read: read it`)
  }
  if (drive.hiding !== undefined && hidesByTags(drive.hiding)) {
    const what = 'hides files by their tags, which no cache keeps'
    throw usageError(`${drive.directory} ${what}: name files by their abfs:// URLs`)
  }
  const url = parseAzureUrl(drive.source)
  const root = { ...url, name: url.name.replace(/\/+$/, '') }
  const isShown = drive.hiding && shownBy(drive.hiding)
  return {
    ...url,
    name: joined(root.name, place.slice(drive.directory.length)),
    isShown: isShown && shownBelow(root, reachedBy(isShown)),
    hidesByTime: drive.hiding && hidesByTime(drive.hiding),
    isDrive: true,
    cache: drive.cache,
  }
}

/** As {@link openCache}, where nothing is to be made: `ENOENT` for a directory that is not there. */
export async function openExistingCache(
  command: Command,
  context: CliContext,
  place?: FilesPlace,
): Promise<DiskCache> {
  const settings = await cacheOf(command, context, place)
  if (!existsSync(settings.directory)) {
    const detail = 'there is no such cache: check --cache-dir'
    throw new FileSystemError('ENOENT', 'cache', { path: settings.directory, detail })
  }
  return new DiskCache(settings)
}

/**
 * The cache that the flags of `command` or variables name, else that of the drive that shows `place`, whose size it has unless they say otherwise.
 * One of them must name it, or nobody would find it again.
 */
export async function cacheOf(
  command: Command,
  context: CliContext,
  place?: FilesPlace,
): Promise<CacheSettings> {
  const { cacheDir } = await configOf(command, context)
  const { cacheSize } = command.opts<{ readonly cacheSize?: string }>()
  const ofDrive = place?.cache
  const directory = cacheDir === undefined ? ofDrive?.directory : resolve(cacheDir)
  if (directory === undefined) {
    const why = place?.isDrive === true ? 'the drive has no disk cache: ' : ''
    throw usageError(`${why}--cache-dir (or ABFS_CACHE_DIR) must be named`)
  }
  if (cacheSize === undefined && directory === ofDrive?.directory) return ofDrive
  return { directory, maxBytes: parseSize('--cache-size', cacheSize ?? '10G') }
}

/** Paths of `file`, one a line, in its order; `-` is standard input. */
export async function readManifest(file: string, { stdin }: CliContext): Promise<string[]> {
  const content = file === '-' ? await text(stdin) : await readFile(file, 'utf8')
  const lines = content.split(/\r?\n/)
  return lines.filter((line) => line !== '')
}

/** What below a place is meant. */
interface Wanted {
  readonly path: string
  readonly signal: AbortSignal
}

/**
 * The files that are shown of what `path` below `root` is, or has below it. Where nothing is there of that name and it is a pattern, of all
 * that match. Rejects as the namespace does.
 */
export async function* filesAt(
  account: Pick<Account, 'namespace'>,
  root: FilesPlace,
  wanted: Wanted,
): AsyncGenerator<Entry> {
  const { isShown = () => true, ...top } = root
  const { path, signal } = wanted
  const place = { ...top, name: joined(top.name.replace(/\/+$/, ''), path) }
  const entry = await account.namespace.stat(place, { signal }).catch((error: unknown) => {
    if (hasMagic(path) && isFileSystemError(error, 'ENOENT')) return undefined
    throw error
  })
  if (entry === undefined) {
    yield* filesMatching(account, root, wanted)
    return
  }
  if (!isShown(entry)) {
    const detail = 'the drive does not show it: name it by its abfs:// URL'
    throw new FileSystemError('ENOENT', 'stat', { path: formatPath(place), detail })
  }
  if (entry.type === 'file') yield entry
  if (entry.type !== 'directory') return
  for await (const each of account.namespace.listTree(place, { signal })) {
    if (each.type === 'file' && isShown(each)) yield each
  }
}

/** Of a directory that matches, all files below it. */
async function* filesMatching(
  { namespace }: Pick<Account, 'namespace'>,
  { isShown = () => true, ...root }: FilesPlace,
  { path, signal }: Wanted,
): AsyncGenerator<Entry> {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  const first = parts.findIndex(hasMagic)
  const name = joined(root.name.replace(/\/+$/, ''), parts.slice(0, first).join('/'))
  const matches = pathMatcher(compilePattern(parts.slice(first).join('/')).segments)
  let count = 0
  for await (const each of namespace.listTree({ ...root, name }, { signal })) {
    const below = each.name.slice(name === '' ? 0 : name.length + 1)
    if (each.type !== 'file' || !isShown(each) || !withParents(below).some(matches)) continue
    count += 1
    yield each
  }
  if (count > 0) return
  const detail = 'no file matches'
  throw new FileSystemError('ENOENT', 'glob', { path: formatPath({ ...root, name: path }), detail })
}

/** `a/b/c` and the directories that it lies in. */
function withParents(path: string): string[] {
  const parts = path.split('/')
  return parts.map((_, at) => parts.slice(0, at + 1).join('/'))
}

/** What the bytes of `file` are kept under; `undefined` where nothing is kept. */
export function versionOf(
  { store: { endpoint } }: Account,
  container: string,
  { name, etag, sizeBytes }: Entry,
): VersionKey | undefined {
  if (endpoint === undefined || etag === undefined || sizeBytes === 0) return undefined
  return { endpoint, path: { container, name }, etag, sizeBytes }
}

function joined(above: string, below: string): string {
  return [above, ...below.split('/')].filter((part) => part !== '' && part !== '.').join('/')
}
