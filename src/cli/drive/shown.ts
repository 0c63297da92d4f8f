/** Which files a drive shows: those that patterns and a filter leave. */
import { compilePattern, pathMatcher } from '../../filesystem/pattern.ts'
import type { IsShown } from '../../vfs/shown-names.ts'
import { usageError } from '../usage.ts'

/** What hides files; each as it was typed. */
export interface Hiding {
  /** Files are shown that match one of them; all, where there are none. */
  readonly include: readonly string[]
  /** Files and directories that match one of them are not shown. */
  readonly exclude: readonly string[]
  /** A condition of blobfuse2's that files meet. */
  readonly filter: string | undefined
}

/**
 * Whether a name is shown; `undefined` where all are. A pattern with a slash is of the whole path below the top, another of
 * the name alone. Directories are shown though nothing in them may be: whether there is would take a listing of each.
 * Throws a usage error for what is no pattern or condition.
 */
export function shownBy({ include, exclude, filter }: Hiding): IsShown | undefined {
  if (include.length === 0 && exclude.length === 0 && filter === undefined) return undefined
  const included = include.map((pattern) => matcherOf('--include', pattern))
  const excluded = exclude.map((pattern) => matcherOf('--exclude', pattern))
  const meets = filter === undefined ? undefined : conditionOf(filter)
  return (path, entry) => {
    if (excluded.some((matches) => matches(path))) return false
    if (entry.type === 'directory') return true
    if (included.length > 0 && !included.some((matches) => matches(path))) return false
    return meets === undefined || meets(path, entry)
  }
}

function matcherOf(flag: string, pattern: string): (path: string) => boolean {
  const whole = pattern.replace(/^\/+/, '').replace(/\/+$/, '')
  if (whole === '') throw usageError(`${flag} must be a pattern such as '*.parquet'`)
  const matches = compiled(flag, whole)
  if (pattern.replace(/\/+$/, '').includes('/')) return matches
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
  const [, field = '', operator = '', value = ''] =
    /^\s*([a-z]+)\s*(<=|>=|!=|<|>|=)\s*(.*?)\s*$/.exec(text) ?? []
  if (field === 'format' && (operator === '=' || operator === '!=') && value !== '') {
    return (path) => (extensionOf(path) === value) === (operator === '=')
  }
  const compare = comparisons[operator]
  if (field === 'size' && compare !== undefined && /^\d{1,15}$/.test(value)) {
    return (_, { sizeBytes }) => compare(sizeBytes, Number(value))
  }
  const timeMs = Date.parse(value)
  const isOrder = compare !== undefined && operator !== '!='
  if (field === 'modtime' && isOrder && !Number.isNaN(timeMs)) {
    return (_, { lastModifiedMs }) =>
      lastModifiedMs !== undefined && compare(lastModifiedMs, timeMs)
  }
  throw usageError(
    `--filter has '${text.trim()}': take size (bytes), format (what follows the last dot; = or !=) or modtime ` +
      '(RFC 1123), such as size>1000 && format=pdf',
  )
}

const comparisons: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
  '!=': (a, b) => a !== b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
  '=': (a, b) => a === b,
}

function extensionOf(path: string): string | undefined {
  return /[^/]\.([^./]+)$/.exec(path)?.[1]
}
