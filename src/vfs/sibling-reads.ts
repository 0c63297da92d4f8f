import { setMaxListeners } from 'node:events'
import { LRUCache } from 'lru-cache'
import { MiB } from '../byte-range.ts'
import { isFileSystemError } from '../errors.ts'
import { baseName } from '../namespace/blob-name.ts'
import type { Entry } from '../namespace/entry.ts'
import { type AheadCounts, fetchWhole } from '../transfer/fetch-whole.ts'
import type { Inode } from './inode-table.ts'
import { SiblingOrder } from './sibling-order.ts'
import type { Tree } from './tree.ts'

// Small files beside those that are read are fetched before anybody asks for them:
// 1. A file's first read that had to be fetched is evidence: the fourth of its directory has its small files put in order.
// 2. A file that continues others, as three of the eight before it were read, has the 32 after it fetched, by one request each, in
//    the version that a believed listing tells. Once an eighth of a directory was read here and there, all of it is. Whoever
//    opens what was fetched goes on so.
// 3. What is fetched and not read stays within what was read of the directory, or eight times that where that was here and there;
//    and of the whole drive within what it is lent at first and eight times what was used.
// 4. A directory's first failure ends it there, and whoever else has requests to send goes first.

export interface SiblingReadsOptions {
  readonly tree: Tree
  /** Whether a request that nobody waits for may be sent now. Absent: some at once may. */
  readonly hasRoomAhead: (() => boolean) | undefined
}

/** Larger files are read in several requests, ahead of their own reader. */
const maxFileBytes = MiB
/** So many files have been fetched before a directory is looked at. */
const leastFiles = 4
/** Not read, for each byte that was, of a directory that is read in order; and in none. */
const orderedFactor = 1
const denseFactor = 8
/** Not read before anything was, in the drive; counted anew after a while. */
const trialBytes = 64 * MiB
const trialMs = 10 * 60_000
const maxUnderWay = 12
/** Names that are remembered, of all directories. */
const maxNames = 200_000

interface FileAhead {
  readonly etag: string
  readonly sizeBytes: number
  isUsed: boolean
}

/** What is known of the reads of one directory. */
class DirectoryReads {
  readonly inode: Inode
  /** Until there are enough to look for an order. */
  readonly first = new Set<string>()
  order: SiblingOrder | undefined
  /** Of the listing that the order is of. */
  untilMs: number | undefined
  readonly ahead = new Map<string, FileAhead>()
  readBytes = 0
  unreadBytes = 0
  hasFailed = false

  constructor(inode: Inode) {
    this.inode = inode
  }
}

/** Reads small files ahead of those who read a directory file by file. */
export class SiblingReads {
  readonly #tree: Tree
  readonly #hasRoomAhead: () => boolean
  readonly #closing = new AbortController()
  readonly #waiting = new Set<DirectoryReads>()
  readonly #directories = new LRUCache<Inode, DirectoryReads>({
    maxSize: maxNames,
    sizeCalculation: ({ order }) => leastFiles + (order?.size ?? 0),
    dispose: (directory) => void this.#waiting.delete(directory),
  })
  #underWay = 0
  #unreadBytes = 0
  #usedBytes = 0
  #trialUntilMs = 0

  constructor({ tree, hasRoomAhead = () => true }: SiblingReadsOptions) {
    this.#tree = tree
    this.#hasRoomAhead = hasRoomAhead
    setMaxListeners(maxUnderWay, this.#closing.signal)
  }

  get #counts(): AheadCounts {
    return this.#tree.chunkCache.ahead
  }

  /** `inode` was opened to be read as `entry`; gives what to call when its first read had to be fetched. */
  opened(inode: Inode, entry: Entry): () => void {
    const { parent, name } = inode
    const directory = parent && this.#directories.get(parent)
    const file = directory?.ahead.get(name)
    if (directory === undefined || file === undefined || file.etag !== entry.etag) {
      return () => this.#missed(inode, entry)
    }
    directory.ahead.delete(name)
    this.#countUnread(directory, -file.sizeBytes)
    this.#countUse(file, 1)
    this.#noteRead(directory, name, file.sizeBytes)
    return () => {
      // It had not come, and was counted so.
      if (!file.isUsed) return
      // It had left the memory before.
      this.#countUse(file, -1)
      this.#countUnread(directory, file.sizeBytes)
    }
  }

  /** Ends what is on its way, unless somebody waits for it. */
  close(): void {
    this.#closing.abort()
  }

  #missed({ parent, name, unlinked }: Inode, entry: Entry): void {
    if (parent === undefined || unlinked || !isSmallFile(entry)) return
    const known = this.#directories.get(parent)
    // Read a second time, in vain: another epoch has begun.
    const isNew = known === undefined || known.order?.wasRead(name) === true
    const directory = isNew ? new DirectoryReads(parent) : known
    if (isNew) this.#directories.set(parent, directory)
    this.#noteRead(directory, name, entry.sizeBytes)
  }

  #noteRead(directory: DirectoryReads, name: string, sizeBytes: number): void {
    directory.readBytes += sizeBytes
    if (directory.order === undefined) this.#putInOrder(directory, name)
    else if (!directory.order.has(name)) this.#renew(directory)
    if (directory.order?.noteRead(name) === true) this.#goOn(directory)
  }

  /** A file that the order does not know: another listing may. */
  #renew(directory: DirectoryReads): void {
    const listing = this.#believed(directory)
    if (listing === undefined || listing.expiresAtMs === directory.untilMs) return
    this.#directories.delete(directory.inode)
  }

  #putInOrder(directory: DirectoryReads, name: string): void {
    const { first, inode } = directory
    first.add(name)
    if (first.size < leastFiles) return
    const listing = this.#believed(directory)
    if (listing === undefined || listing.entries.size > maxNames / 2) {
      first.clear()
      return
    }
    const names = [...listing.entries.values()].filter((entry) => this.#isWorth(entry))
    directory.order = new SiblingOrder(names.map((entry) => baseName(entry.name)))
    directory.untilMs = listing.expiresAtMs
    for (const earlier of first) directory.order.noteRead(earlier)
    first.clear()
    this.#directories.set(inode, directory)
  }

  #believed({ inode }: DirectoryReads) {
    if (inode.unlinked) return undefined
    return this.#tree.namespace.believed(this.#tree.pathOf(inode))
  }

  /** What costs by the byte, or is not shown, is fetched for nobody but who asks for it. */
  #isWorth(entry: Entry): boolean {
    const { chosenTier } = entry
    if (chosenTier !== undefined && chosenTier !== 'Hot' && chosenTier !== 'Premium') return false
    return isSmallFile(entry) && this.#tree.shows?.(entry) !== false
  }

  #goOn(directory: DirectoryReads): void {
    const { order, inode } = directory
    const listing = this.#believed(directory)
    if (order === undefined || listing === undefined) return
    // Forgotten meanwhile.
    if (this.#directories.peek(inode) !== directory) return
    for (let name = order.next; name !== undefined; name = order.next) {
      const entry = listing.entries.get(name)
      const isWorth = entry !== undefined && this.#isWorth(entry)
      if (isWorth && !this.#mayFetch(directory, entry.sizeBytes)) return
      order.pass(name)
      if (isWorth) this.#start(directory, name, entry)
    }
  }

  #mayFetch(directory: DirectoryReads, sizeBytes: number): boolean {
    const { chunkCache } = this.#tree
    if (this.#closing.signal.aborted || directory.hasFailed) return false
    const factor = directory.order?.isDense === true ? denseFactor : orderedFactor
    if (directory.unreadBytes + sizeBytes > factor * directory.readBytes) return false
    if (this.#unreadBytes + sizeBytes > this.#maxUnreadBytes) return false
    const isFree = this.#underWay < maxUnderWay && this.#hasRoomAhead()
    if (isFree && chunkCache.mayFetchAhead(sizeBytes)) return true
    this.#waiting.add(directory)
    return false
  }

  get #maxUnreadBytes(): number {
    const nowMs = this.#tree.clock.nowMs()
    if (nowMs >= this.#trialUntilMs) {
      this.#trialUntilMs = nowMs + trialMs
      this.#unreadBytes = 0
      this.#usedBytes = 0
    }
    return Math.min(trialBytes + denseFactor * this.#usedBytes, this.#tree.chunkCache.aheadBytes)
  }

  #start(directory: DirectoryReads, name: string, { etag = '', sizeBytes }: Entry): void {
    const file = { etag, sizeBytes, isUsed: false }
    directory.ahead.set(name, file)
    this.#countUnread(directory, sizeBytes)
    this.#countFetched(file, 1)
    this.#underWay += 1
    void this.#fetch(directory, name, file)
  }

  async #fetch(directory: DirectoryReads, name: string, file: FileAhead): Promise<void> {
    const { namespace, chunkCache, table } = this.#tree
    const path = table.pathIn(directory.inode, name)
    const options = { store: namespace.store, cache: chunkCache, signal: this.#closing.signal }
    try {
      const isFetched = await fetchWhole({ ...file, path }, options)
      if (!isFetched) this.#takeBack(directory, name, file)
    } catch (error) {
      this.#takeBack(directory, name, file)
      // Somebody replaced it: whoever opens it reads what is there then.
      if (!isFileSystemError(error, 'ESTALE')) directory.hasFailed = true
    }
    this.#underWay -= 1
    this.#waiting.add(directory)
    for (const each of [...this.#waiting]) {
      this.#waiting.delete(each)
      this.#goOn(each)
    }
  }

  /** It was there already, or did not come. */
  #takeBack(directory: DirectoryReads, name: string, file: FileAhead): void {
    this.#countFetched(file, -1)
    if (file.isUsed) this.#countUse(file, -1)
    if (directory.ahead.get(name) !== file) return
    directory.ahead.delete(name)
    this.#countUnread(directory, -file.sizeBytes)
  }

  #countFetched({ sizeBytes }: FileAhead, times: 1 | -1): void {
    this.#counts.fetchedFiles += times
    this.#counts.fetchedBytes += times * sizeBytes
  }

  #countUse(file: FileAhead, times: 1 | -1): void {
    file.isUsed = times === 1
    this.#usedBytes = Math.max(this.#usedBytes + times * file.sizeBytes, 0)
    this.#counts.usedFiles += times
    this.#counts.usedBytes += times * file.sizeBytes
  }

  #countUnread(directory: DirectoryReads, bytes: number): void {
    directory.unreadBytes += bytes
    this.#unreadBytes = Math.max(this.#unreadBytes + bytes, 0)
  }
}

function isSmallFile({ type, sizeBytes, etag }: Entry): boolean {
  return type === 'file' && etag !== undefined && sizeBytes > 0 && sizeBytes <= maxFileBytes
}
