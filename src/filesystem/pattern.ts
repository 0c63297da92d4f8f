/** One component of a pattern. */
export type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'wild'; readonly regExp: RegExp }
  | { readonly kind: 'any-depth' }

/** A pattern, cut at its slashes. */
export interface Pattern {
  readonly segments: readonly Segment[]
  /** A trailing slash: only directories match. */
  readonly directoriesOnly: boolean
}

const special = /[.*+?^${}()|[\]\\/]/g
const specialInClass = /[\]\\^-]/g

/** Whether `text` holds a character that means something in a pattern: `*`, `?` or `[`. */
export function hasMagic(text: string): boolean {
  return /[*?[]/.test(text)
}

/**
 * Reads a pattern. `*` is any run of characters within one component, `?` one character, `[abc]`,
 * `[a-z]` and `[!abc]` one of a class, and `**` any number of whole components, none included; it
 * must be a component of its own. Braces and all else are literal, an unterminated `[` too; an empty
 * class matches nothing. Names that begin with a dot match as all others. Throws `TypeError` for
 * `a**b`.
 */
export function compilePattern(pattern: string): Pattern {
  const directoriesOnly = pattern.endsWith('/') && pattern !== '/'
  const text = directoriesOnly ? pattern.replace(/\/+$/, '') : pattern
  return { segments: text.split('/').map((segment) => compile(segment, pattern)), directoriesOnly }
}

/** Matches a whole relative path; that of a directory ends in a slash where `x/**` is to match `x`. */
export function pathMatcher(segments: readonly Segment[]): (path: string) => boolean {
  const regExp = new RegExp(`^${segments.map(sourceOf).join('')}$`, 'su')
  return (path) => regExp.test(path)
}

function compile(segment: string, pattern: string): Segment {
  if (segment === '**') return { kind: 'any-depth' }
  if (segment.includes('**')) {
    throw new TypeError(`pattern: '**' must be a whole component, got '${segment}' in '${pattern}'`)
  }
  if (!hasMagic(segment)) return { kind: 'literal', text: segment }
  return { kind: 'wild', regExp: new RegExp(`^${translate(segment)}$`, 'su') }
}

/** As part of a whole path, with the slash that separates it from the next. */
function sourceOf(segment: Segment, index: number, all: readonly Segment[]): string {
  const last = index === all.length - 1
  if (segment.kind === 'any-depth') return last ? '(?:.*)' : '(?:[^/]+/)*'
  const text =
    segment.kind === 'literal' ? escapeText(segment.text) : segment.regExp.source.slice(1, -1)
  return last ? text : `${text}/`
}

function translate(segment: string): string {
  let source = ''
  for (let at = 0; at < segment.length; ) {
    const char = segment[at] ?? ''
    const end = char === '[' ? classEnd(segment, at) : -1
    if (end > at) source += translateClass(segment.slice(at + 1, end))
    else if (char === '*') source += '[^/]*'
    else if (char === '?') source += '[^/]'
    else source += escapeText(char)
    at = end > at ? end + 1 : at + 1
  }
  return source
}

/** Where the class that begins at `start` ends; a `]` in first place belongs to it if another follows. */
function classEnd(segment: string, start: number): number {
  const first = segment[start + 1] === '!' ? start + 2 : start + 1
  if (segment[first] !== ']') return segment.indexOf(']', first)
  const later = segment.indexOf(']', first + 1)
  return later < 0 ? first : later
}

function translateClass(text: string): string {
  const negated = text.startsWith('!')
  const members = classMembers(negated ? text.slice(1) : text)
  if (members === '') return '(?!)'
  return negated ? `[^/${members}]` : `[${members}]`
}

function classMembers(text: string): string {
  let source = ''
  const characters = [...text]
  for (let at = 0; at < characters.length; ) {
    const first = characters[at] ?? ''
    const last = characters[at + 2]
    if (characters[at + 1] !== '-' || last === undefined) {
      source += escapeMember(first)
      at += 1
      continue
    }
    if (first <= last) source += `${escapeMember(first)}-${escapeMember(last)}`
    at += 3
  }
  return source
}

function escapeText(text: string): string {
  return text.replace(special, '\\$&')
}

function escapeMember(text: string): string {
  return text.replace(specialInClass, '\\$&')
}
