/** Where the drive differs from a local file system. */
export interface Difference {
  /** The cases concerned, by their names. */
  readonly cases: RegExp
  /** The calls in them; all when absent. */
  readonly calls?: RegExp
  readonly reason: string
}

/** All that may differ; whatever else does is a fault, and so is an entry that nothing needs. */
export const differences: readonly Difference[] = [
  {
    cases: /^(link:|(chmod|chown|link|utimensat): times after link)|^link/,
    reason: 'a blob has one name: hard links are refused with EPERM',
  },
  {
    cases: /^open: a directory/,
    calls: /^f?stat/,
    reason: 'a directory has no size of its own: 0 bytes',
  },
  {
    cases: /with (backslash|newline|escape character|delete character|bytes that are not UTF-8)$/,
    reason: 'Azure cannot list such names, so none is made: EINVAL',
  },
  { cases: /EXCHANGE/, reason: 'two names are not exchanged: EINVAL' },
  { cases: /O_TMPFILE/, reason: 'a file begins with a name: EOPNOTSUPP' },
  {
    cases: /^(truncate: beyond what any file can have|fallocate: fallocate f 0 92)/,
    reason: 'numbers over 2^53 are refused before they are compared with the limit of a file',
  },
  {
    cases: /^(utimensat|futimens): /,
    calls: /^l?stat a atime/,
    reason: 'access times are not kept: the access time is the time of modification',
  },
  {
    cases: /^utimensat: a \w+ to 10000000000\./,
    calls: /^lstat/,
    reason: 'times after 2286 do not fit the 19 digits that metadata gives to nanoseconds',
  },
  { cases: /xattr/, reason: 'extended attributes are not kept: EOPNOTSUPP' },
]
