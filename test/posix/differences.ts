/** Where the drive differs from a local file system. */
export interface Difference {
  /** The cases concerned, by their names. */
  readonly cases: RegExp
  /** The calls in them; all when absent. */
  readonly calls?: RegExp
  /** What the drive gives instead; anything when absent. */
  readonly drive?: RegExp
  readonly reason: string
}

const noHardLinks = 'a blob has one name: hard links are refused with EPERM'

/** What may differ when names are looked up, made, moved and removed. */
export const nameDifferences: readonly Difference[] = [
  { cases: /^link/, drive: /^(EPERM|ENOENT|1|empty)$/, reason: noHardLinks },
  {
    cases: /with (backslash|newline|escape character|delete character|bytes that are not UTF-8)$/,
    drive: /^(EINVAL|EBADF|empty)$/,
    reason: 'Azure cannot list such names, so none is made: EINVAL',
  },
  {
    cases: /EXCHANGE/,
    drive: /^(EINVAL|a:\w+,b:file)$/,
    reason: 'two names are not exchanged: EINVAL',
  },
]

/** What may differ when files are opened, written and described. */
export const fileDifferences: readonly Difference[] = [
  { cases: /times after link/, drive: /^(EPERM|same)$/, reason: noHardLinks },
  {
    cases: /^open: a directory/,
    calls: /^f?stat/,
    drive: /^dir,0,/,
    reason: 'a directory has no size of its own: 0 bytes',
  },
  {
    cases: /O_TMPFILE/,
    drive: /^(EOPNOTSUPP|EBADF)$/,
    reason: 'a file begins with a name: EOPNOTSUPP',
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
]
