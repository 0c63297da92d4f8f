import type { CallOptions } from '../blob/store.ts'
import { mergeConcurrent } from '../concurrency.ts'
import { inTurns } from '../turns.ts'
import { collectByName } from './by-name.ts'
import { compilePattern, type Pattern, pathMatcher, type Segment } from './pattern.ts'
import { joinName, relativeName, type TreeEntry, type TreeView } from './tree-view.ts'
import { checkDepth, listToDepth, listWhole } from './walk.ts'

// A pattern is followed component by component, so that only directories that can hold a match are
// listed: literal components cost nothing, `*` one listing of each directory that matched before.
// From the first `**` on everything below is listed, flat, and matched as a whole.

export interface GlobOptions extends CallOptions {
  /** How many components the first `**` and what follows it may match together. */
  readonly maxDepth?: number | undefined
}

/** What one request tells at most. */
const entriesPerPage = 5000

/** Directories listed at once. */
const listConcurrency = 16

/** What matches `pattern` by name; nothing when nothing does. `x/**` matches `x` too. */
export async function glob<E extends TreeEntry>(
  view: TreeView<E>,
  pattern: string,
  options: GlobOptions = {},
): Promise<E[]> {
  return collectByName(globPages(view, pattern, options))
}

/**
 * The same in no order, as it is found: by the directory, and by the page of its listing what is below a `**`.
 * Nothing is held that was told.
 */
export async function* globIter<E extends TreeEntry>(
  view: TreeView<E>,
  pattern: string,
  options: GlobOptions = {},
): AsyncGenerator<E, void> {
  for await (const page of globPages(view, pattern, options)) {
    for (const entry of page) {
      options.signal?.throwIfAborted()
      yield entry
    }
  }
}

/** Each match once: what stands before the first `**` leads to directories of one depth, which share nothing. */
async function* globPages<E extends TreeEntry>(
  view: TreeView<E>,
  pattern: string,
  options: GlobOptions,
): AsyncGenerator<readonly E[], void> {
  checkDepth(options.maxDepth)
  const root = pattern.startsWith('/') ? '/' : ''
  const compiled = compilePattern(pattern.slice(root.length))
  const search = new Search(view, compiled, options)
  for await (const page of search.below(root, compiled.segments)) {
    yield page.filter(({ name }) => name !== '')
  }
}

class Search<E extends TreeEntry> {
  readonly #view: TreeView<E>
  readonly #pattern: Pattern
  readonly #options: GlobOptions

  constructor(view: TreeView<E>, pattern: Pattern, options: GlobOptions) {
    this.#view = view
    this.#pattern = pattern
    this.#options = options
  }

  /** Matches of `segments` below the directory `base`. */
  async *below(base: string, segments: readonly Segment[]): AsyncGenerator<readonly E[], void> {
    const [first, ...rest] = segments
    if (first === undefined) yield await this.#self(base)
    else if (first.kind === 'literal') yield* this.below(joinName(base, first.text), rest)
    else if (first.kind === 'any-depth') yield* this.#anyDepth(base, segments)
    else yield* this.#oneLevel(base, first, rest)
  }

  async #self(name: string): Promise<E[]> {
    const entry = await this.#view.stat(name, this.#options)
    return entry !== undefined && this.#isWanted(entry) ? [entry] : []
  }

  async *#oneLevel(
    base: string,
    first: Extract<Segment, { kind: 'wild' }>,
    rest: readonly Segment[],
  ): AsyncGenerator<readonly E[], void> {
    const children = await this.#view.list(base, this.#options)
    const matching: E[] = []
    for await (const part of inTurns(children)) {
      for (const child of part) {
        if (first.regExp.test(relativeName(base, child.name))) matching.push(child)
      }
    }
    if (rest.length === 0) return yield matching.filter((child) => this.#isWanted(child))
    const directories = matching.filter((child) => child.type === 'directory')
    const whole = await this.#whole(base, directories.length, rest)
    if (whole === undefined) {
      return yield* mergeConcurrent(directories, listConcurrency, ({ name }) =>
        this.below(name, rest),
      )
    }
    const isMatch = pathMatcher([first, ...rest])
    yield whole.filter((entry) => isMatch(relativeName(base, entry.name)) && this.#isWanted(entry))
  }

  /**
   * Everything below `base`, where a tenth of the requests that `directories` would cost one by one is
   * enough to list it: small directories come by the thousand to a page.
   */
  async #whole(
    base: string,
    directories: number,
    rest: readonly Segment[],
  ): Promise<E[] | undefined> {
    const pages = Math.floor(directories / 10)
    const isOpen = rest.some(({ kind }) => kind === 'any-depth')
    if (pages < 1 || isOpen || base === '') return undefined
    const tree = await listWhole(this.#view, base, this.#options, pages * entriesPerPage)
    return tree && [...tree.values()].flat()
  }

  /** Matches of segments that begin with `**`, as the pages of the listing bring them. */
  async *#anyDepth(base: string, segments: readonly Segment[]): AsyncGenerator<E[], void> {
    const matches = pathMatcher(segments)
    const open = segments.at(-1)?.kind === 'any-depth'
    for await (const page of this.#everything(base)) {
      yield page.filter((entry) => {
        const slash = open && entry.type === 'directory' ? '/' : ''
        return this.#isWanted(entry) && matches(`${relativeName(base, entry.name)}${slash}`)
      })
    }
    if (open && segments.every((segment) => segment.kind === 'any-depth')) {
      const self = await this.#view.stat(base, this.#options)
      if (self?.type === 'directory') yield [self]
    }
  }

  async *#everything(base: string): AsyncGenerator<readonly E[], void> {
    const { maxDepth } = this.#options
    if (maxDepth === undefined) yield* this.#view.listTree(base, this.#options)
    else yield await listToDepth(this.#view, [base], maxDepth, this.#options)
  }

  #isWanted(entry: E): boolean {
    return !this.#pattern.directoriesOnly || entry.type === 'directory'
  }
}
