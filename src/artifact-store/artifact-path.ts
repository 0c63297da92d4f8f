import { parseAzureUrl } from '../azure-url.ts'
import { FileSystemError } from '../errors.ts'
import { type BlobPath, formatPath } from '../path.ts'

/** The place that names are relative to. `account` is the one that its URLs must be of. */
export interface ArtifactRoot extends BlobPath {
  readonly account: string
}

/** A name that leaves the root, or that something on its way could take for one that does. */
export class ArtifactPathError extends FileSystemError {
  constructor(name: string, reason: string, cause?: unknown) {
    const shown = name.includes('://') ? name.replace(/[?#].*$/s, '') : name
    super('EINVAL', 'artifact', {
      path: JSON.stringify(shown).slice(1, -1),
      detail: `an artifact's name ${reason}`,
      cause,
    })
  }
}

/** The file inside a directory artifact that tells what belongs to it. */
export const manifestName = '.artifact.json'

const escapes: Readonly<Record<string, string>> = {
  '%00': '\0',
  '%25': '%',
  '%2e': '.',
  '%2f': '/',
  '%5c': '\\',
}

/** Reads the root. `account` is the file system's; a URL may name it as well. */
export function parseRoot(account: string, input: string | URL): ArtifactRoot {
  const url = parseAzureUrl(input)
  if (url.account !== undefined && url.account !== account) {
    throw new TypeError(`root: is in account '${url.account}', the file system in '${account}'`)
  }
  if (url.container === '') {
    throw new TypeError('root: expected abfs://container or abfs://container/prefix')
  }
  const name = url.name.replace(/\/+$/, '')
  if (name !== '') checkSegments(name, name)
  return { account, container: url.container, name }
}

/**
 * The segments of `input` below `root`. A name is relative to the root; a URL of any spelling must
 * lie in it, segment by segment. {@link ArtifactPathError} for everything else: absolute paths,
 * empty, `.` and `..` segments, backslashes and control characters, also where they are
 * percent-encoded (however often) or in another Unicode form.
 */
export function artifactSegments(root: ArtifactRoot, input: string | URL): string[] {
  const text = String(input)
  const inside = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? belowRoot(root, input) : text
  const name = inside.endsWith('/') ? inside.slice(0, -1) : inside
  checkSegments(name, text)
  return name.split('/')
}

function belowRoot(root: ArtifactRoot, input: string | URL): string {
  const url = parse(input)
  const prefix = root.name === '' ? '' : `${root.name}/`
  const sameAccount = url.account === undefined || url.account === root.account
  if (!sameAccount || url.container !== root.container || !url.name.startsWith(prefix)) {
    throw new ArtifactPathError(String(input), `must lie below ${formatPath(root)}`)
  }
  return url.name.slice(prefix.length)
}

function parse(input: string | URL) {
  try {
    return parseAzureUrl(input)
  } catch (cause) {
    throw unreadable(input, cause)
  }
}

function unreadable(input: string | URL, cause: unknown): ArtifactPathError {
  return new ArtifactPathError(String(input), 'must be relative, or a URL below the root', cause)
}

function checkSegments(name: string, given: string): void {
  for (const form of formsOf(name)) {
    const reason = faultOf(form)
    if (reason !== undefined) throw new ArtifactPathError(given, reason)
  }
  const plain = name.split('/').length
  if (formsOf(name).some((form) => form.split('/').length !== plain)) {
    throw new ArtifactPathError(given, 'must not hold an encoded slash')
  }
}

function faultOf(name: string): string | undefined {
  if (name === '') return 'must not be empty'
  if (/\p{Cc}/u.test(name)) return 'must not hold control characters'
  if (name.includes('\\')) return "must be divided by '/', not by '\\'"
  if (name.startsWith('/')) return 'must be relative'
  const segments = name.split('/')
  if (segments.some((segment) => ['', '.', '..'].includes(segment))) {
    return "must not have an empty, '.' or '..' segment"
  }
  if (segments.includes(manifestName)) return `must not have '${manifestName}' as a segment`
  return /%c[01]|%e0%[89]/i.test(name) ? 'must not hold overlong UTF-8' : undefined
}

/** The name as it is, and as whoever decodes or normalizes it once more would see it. */
function formsOf(name: string): string[] {
  const forms = [name]
  for (let form = decodeOnce(name); form !== forms.at(-1); form = decodeOnce(form)) forms.push(form)
  return [...forms, ...forms.map((form) => form.normalize('NFKC'))]
}

function decodeOnce(name: string): string {
  return name.replace(/%(?:00|25|2e|2f|5c)/gi, (code) => escapes[code.toLowerCase()] ?? code)
}
