import { type ErrnoCode, FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'

/** Azure's limit of a name; this and the next: https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata */
export const maxNameCharacters = 1024
const maxSegments = 254
/** What Linux (NAME_MAX) and every other client of the tree can take. */
const maxComponentBytes = 255

/**
 * What XML 1.0, in which Azure lists names, cannot carry: control characters and two
 * non-characters. A blob with such a name could not be listed by every client.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unlistable = /[\u0000-\u001f\u007f\ufffe\uffff]/
const loneSurrogate = /\p{Surrogate}/u
const containerName = /^(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$|^\$[a-z]+$/

/** At the top of each container; see {@link isReserved}. */
const reservedDirectory = '.abfs'
/** To whom what is reserved is missing; to all others it is forbidden. */
const readingCalls: ReadonlySet<string> = new Set(['stat', 'list', 'readlink'])

interface Fault {
  readonly code: ErrnoCode
  readonly detail: string
}

/**
 * Throws `EINVAL` or `ENAMETOOLONG`, saying what is wrong, when `path` cannot be a file or a
 * directory: Azure refuses it, or it would not come back as it went. A reserved name is `ENOENT` to
 * calls that read and `EPERM` to those that change something. Empty container and name are the
 * roots and pass.
 */
export function checkPath(path: BlobPath, syscall: string): void {
  const fault = containerFault(path) ?? nameFault(path.name) ?? reservedFault(path, syscall)
  if (fault === undefined) return
  throw new FileSystemError(fault.code, syscall, { path: formatPath(path), detail: fault.detail })
}

/**
 * Whether a blob's name belongs to abfs itself: `.abfs` at the top of a container and all below it,
 * where journals are kept. No listing shows these names.
 */
export function isReserved(name: string): boolean {
  return name === reservedDirectory || name.startsWith(`${reservedDirectory}/`)
}

/** `EPERM` for a name that belongs to abfs itself. */
export function refuseReserved(path: BlobPath, syscall: string): void {
  const fault = reservedFault(path, syscall)
  if (fault === undefined) return
  throw new FileSystemError('EPERM', syscall, { path: formatPath(path), detail: fault.detail })
}

/** Whether a listed blob's name is a path: no empty, `.` or `..` segment. */
export function isPathName(name: string): boolean {
  return name !== '' && !oddSegment.test(name)
}

const oddSegment = /^\/|\/$|\/\/|(?:^|\/)\.\.?(?:\/|$)/

/** The path of the directory that holds `name`; empty for the container's root. */
export function parentName(name: string): string {
  return name.slice(0, Math.max(name.lastIndexOf('/'), 0))
}

/** The last component of `name`. */
export function baseName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1)
}

/** What the names of all blobs in a directory begin with. */
export function childPrefix(name: string): string {
  return name === '' ? '' : `${name}/`
}

function containerFault(path: BlobPath): Fault | undefined {
  if (path.container === '') {
    return path.name === '' ? undefined : invalid('a path needs a container before the name')
  }
  if (containerName.test(path.container)) return undefined
  return invalid(
    `the container '${path.container}' has a name that Azure refuses: 3 to 63 lower-case letters, ` +
      'digits and single hyphens, beginning and ending with a letter or digit',
  )
}

function reservedFault(path: BlobPath, syscall: string): Fault | undefined {
  if (!isReserved(path.name)) return undefined
  const detail = `'${reservedDirectory}' at the top of a container is reserved for abfs's journals`
  return { code: readingCalls.has(syscall) ? 'ENOENT' : 'EPERM', detail }
}

/** Whether a listed blob can be opened by its name. Other services list what {@link checkPath} refuses: components over 255 bytes. */
export function canBeOpened(name: string): boolean {
  return name !== '' && nameFault(name) === undefined
}

function nameFault(name: string): Fault | undefined {
  if (name === '' || isPlain(name)) return undefined
  const segments = name.split('/')
  return charactersFault(name) ?? segmentFault(segments) ?? lengthFault(name, segments)
}

/** Most names; to look for each fault takes six times as long. */
function isPlain(name: string): boolean {
  return name.length <= maxComponentBytes && plainName.test(name) && isPathName(name)
}

const plainName = /^[\w\-. /]+$/

function charactersFault(name: string): Fault | undefined {
  if (unlistable.test(name)) {
    return invalid('the name has a control character, which Azure cannot list')
  }
  if (name.includes('\\')) {
    return invalid(
      "the name has a backslash, which Azure stores as '/': write '/' between directories, and " +
        'another character within a name',
    )
  }
  if (!loneSurrogate.test(name)) return undefined
  return invalid('the name is not valid Unicode: a surrogate stands alone')
}

function segmentFault(segments: readonly string[]): Fault | undefined {
  if (segments.includes('')) {
    return invalid("the name has an empty segment (a leading, trailing or double '/')")
  }
  if (!segments.includes('.') && !segments.includes('..')) return undefined
  return invalid("the name has '.' or '..' as a segment, which URLs resolve away")
}

function lengthFault(name: string, segments: readonly string[]): Fault | undefined {
  if (name.length > maxNameCharacters) {
    return tooLong(`the name has ${name.length} characters; Azure allows ${maxNameCharacters}`)
  }
  if (segments.length > maxSegments) {
    return tooLong(`the name has ${segments.length} segments; Azure allows ${maxSegments}`)
  }
  if (!segments.some((segment) => Buffer.byteLength(segment) > maxComponentBytes)) return undefined
  return tooLong(`a component of the name is over ${maxComponentBytes} bytes`)
}

function invalid(detail: string): Fault {
  return { code: 'EINVAL', detail }
}

function tooLong(detail: string): Fault {
  return { code: 'ENAMETOOLONG', detail }
}
