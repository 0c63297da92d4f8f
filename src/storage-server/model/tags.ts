import { StorageError } from '../wire/storage-error.ts'

/** Tags of a blob by name. */
export type Tags = Readonly<Record<string, string>>

/** Tags of the `x-ms-tags` header, written like a query: `name=value&name=value`. */
export function parseTagHeader(header: string): Tags {
  return header === '' ? noTags : checkTags([...new URLSearchParams(header)])
}

/**
 * Tags of name and value pairs. Throws 400 as Azure does: more than 10 or too long
 * (`TagsTooLarge`), a name twice (`DuplicateTagNames`), no name (`EmptyTagName`), characters beside
 * letters, digits, space and `+-./:=_` (`InvalidTag`).
 */
export function checkTags(pairs: readonly (readonly [string, string])[]): Tags {
  if (pairs.length > maxTags) throw tagError('TagsTooLarge')
  const tags = new Map<string, string>()
  for (const [name, value] of pairs) {
    if (name === '') throw tagError('EmptyTagName')
    if (name.length > maxNameLength || value.length > maxValueLength) throw tagError('TagsTooLarge')
    if (!permitted.test(name) || !permitted.test(value)) throw tagError('InvalidTag')
    if (tags.has(name)) throw tagError('DuplicateTagNames')
    tags.set(name, value)
  }
  return Object.fromEntries(tags)
}

const noTags: Tags = Object.freeze({})
const maxTags = 10
const maxNameLength = 128
const maxValueLength = 256
const permitted = /^[A-Za-z0-9 +\-./:=_]*$/u

const messages = {
  TagsTooLarge: 'The tags specified exceed the maximum permissible limit.',
  EmptyTagName: 'The name of one of the tag key-value pairs is empty.',
  InvalidTag: 'The tags specified are invalid. It contains characters that are not permitted.',
  DuplicateTagNames: 'The tags specified contain duplicate names.',
} as const

function tagError(code: keyof typeof messages): StorageError {
  return new StorageError(400, code, messages[code])
}
