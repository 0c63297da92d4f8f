/** Which files a drive shows: those that patterns and a filter leave. */
import { compilePattern, pathMatcher } from '../../filesystem/pattern.ts'
import { impliedDirectory } from '../../namespace/blob-entry.ts'
import { isPathName } from '../../namespace/blob-name.ts'
import type { IsShown } from '../../vfs/shown-names.ts'
import { usageError } from '../usage.ts'

/** What hides files; each as it was typed. */
export interface Hiding {
  /** Files are shown that match one of them; all, where there are none. */
  readonly include: readonly string[]
  /** Files and directories that match one of them are not shown. */
  readonly exclude: readonly string[]
  /** A condition of blobfuse2's that files meet. */
  readonly filter?: string | undefined
}

/**
 * Whether a name is shown; `undefined` where all are. A pattern with a slash before its end is of the whole path below the top,
 * another of the name alone. Directories are shown though nothing in them may be: whether there is would take a listing of
 * each. Throws a usage error for what is no pattern or condition.
 */
export function shownBy({ include, exclude, filter }: Hiding): IsShown | undefined {
  if (include.length === 0 && exclude.length === 0 && filter === undefined) return undefined
  const included = include.map(includedBy)
  const excluded = exclude.map(excludedBy)
  const meets = filter === undefined ? undefined : conditionOf(filter)
  return (path, entry) => {
    if (excluded.some((matches) => matches(path, entry))) return false
    if (entry.type === 'directory') return true
    if (included.length > 0 && !included.some((matches) => matches(path))) return false
    return meets === undefined || meets(path, entry)
  }
}

/** Whether what is shown depends on when it was written. */
export function hidesByTime({ filter = '' }: Hiding): boolean {
  return /(^|[|&])\s*modtime\b/i.test(filter)
}

/** Whether what is shown depends on index tags, which a store must be asked for. */
export function hidesByTags({ filter = '' }: Hiding): boolean {
  return /(^|[|&])\s*tag\b/i.test(filter)
}

/** As `isShown`, where no directory above was looked at: one that is hidden hides what is in it. The top is always shown. */
export function reachedBy(isShown: IsShown): IsShown {
  return (path, entry) => {
    if (path === '') return true
    for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) {
      const above = path.slice(0, at)
      if (!isShown(above, impliedDirectory(above))) return false
    }
    return isShown(path, entry)
  }
}

function includedBy(pattern: string): (path: string) => boolean {
  if (!pattern.endsWith('/')) return matcherOf('--include', pattern)
  throw usageError(`--include ${pattern} is of files: write ${pattern}** for those in a directory`)
}

/** A slash at its end makes it a pattern of directories. */
function excludedBy(pattern: string): IsShown {
  if (!pattern.endsWith('/')) return matcherOf('--exclude', pattern)
  const matches = matcherOf('--exclude', pattern.slice(0, -1))
  return (path, { type }) => type === 'directory' && matches(path)
}

function matcherOf(flag: string, pattern: string): (path: string) => boolean {
  const whole = pattern.replace(/^\//, '')
  const isOfPaths = isPathName(whole) && !whole.includes('\\')
  if (!isOfPaths) {
    const advice = "write a pattern such as '*.parquet' or 'train/**'"
    throw usageError(`${flag} '${pattern}' can match no path of the drive: ${advice}`)
  }
  const matches = compiled(flag, whole)
  if (pattern.includes('/')) return matches
  return (path) => matches(path.slice(path.lastIndexOf('/') + 1))
}

function compiled(flag: string, pattern: string): (path: string) => boolean {
  try {
    return pathMatcher(compilePattern(pattern).segments)
  } catch (cause) {
    throw usageError(`${flag} ${pattern}: ** must be a whole component, as in a/**/b`, cause)
  }
}

/** `size > 1000 && format=pdf || modtime>Mon, 24 Jan 1982 13:00:00 GMT`: one of several groups, all of each. */
function conditionOf(filter: string): IsShown {
  const groups = filter.split('||').map((group) => group.split('&&').map(termOf))
  return (path, entry) => groups.some((group) => group.every((meets) => meets(path, entry)))
}

function termOf(text: string): IsShown {
  const [, name = '', operator = '', value = ''] =
    /^\s*(size|format|modtime|tag)\s*(<=|>=|!=|<|>|=)\s*(.*?)\s*$/is.exec(text) ?? []
  const compare = comparisons[operator]
  const meets = compare && fields[name.toLowerCase()]?.(compare, value, operator)
  if (meets !== undefined) return meets
  throw usageError(
    `--filter has '${text.trim()}': take size (bytes), format (what follows the last dot; = or !=), modtime ` +
      '(2026-08-01T00:00:00Z or Sat, 01 Aug 2026 00:00:00 GMT; not !=) or tag (KEY:VALUE; = or !=), such as size>1000 && format=pdf',
  )
}

type Compare = (a: number, b: number) => boolean

const comparisons: Readonly<Record<string, Compare>> = {
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
  '=': (a, b) => a === b,
}

/** What each field makes of an operator and a value; `undefined` where they are none of its. */
const fields: Readonly<
  Record<string, (compare: Compare, value: string, operator: string) => IsShown | undefined>
> = { size: sizeIs, format: formatIs, modtime: timeIs, tag: tagIs }

function sizeIs(compare: Compare, value: string): IsShown | undefined {
  if (!/^\d{1,15}$/.test(value)) return undefined
  return (_, { sizeBytes }) => compare(sizeBytes, Number(value))
}

/** Capitals are as other letters. */
function formatIs(_: Compare, value: string, operator: string): IsShown | undefined {
  if (!/^[^./<>=]+$/.test(value) || !/^!?=$/.test(operator)) return undefined
  const wanted = value.toLowerCase()
  return (path) => (extensionOf(path) === wanted) === (operator === '=')
}

function extensionOf(path: string): string | undefined {
  return /\.([^./]*)$/.exec(path)?.[1]?.toLowerCase()
}

/** A blob without that tag has another. */
function tagIs(_: Compare, value: string, operator: string): IsShown | undefined {
  const [, key, wanted] = tagForm.exec(value) ?? []
  if (key === undefined || !/^!?=$/.test(operator)) return undefined
  return (_path, { tags }) => (tags?.[key] === wanted) === (operator === '=')
}

/** As Azure takes them, but for a colon in a key. */
const tagForm = /^([\w +\-./=]{1,128}):([\w +\-./:=]{0,256})$/

function timeIs(compare: Compare, value: string, operator: string): IsShown | undefined {
  const timeMs = timeForm.test(value) ? Date.parse(value) : Number.NaN
  if (Number.isNaN(timeMs) || operator === '!=') return undefined
  return (_, { lastModifiedMs }) => lastModifiedMs !== undefined && compare(lastModifiedMs, timeMs)
}

/** RFC 1123's, or ISO 8601's: a day, or a time with its zone. */
const timeForm =
  /^(?:\w{3}, \d\d? \w{3} \d{4} \d\d:\d\d:\d\d (?:GMT|UTC)|\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d))?)$/
