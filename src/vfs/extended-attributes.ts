import type { BlobAdministration, Tier } from '../blob/administration.ts'
import type { BlobProperties, CallOptions, Metadata } from '../blob/store.ts'
import { FileSystemError } from '../errors.ts'
import type { Entry } from '../namespace/entry.ts'
import { isPosixKey } from '../namespace/posix-metadata.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type { XattrChange } from './operations.ts'

/** What `azure.*` attributes are read and written with. */
export interface AzureAttributes {
  head(path: BlobPath, options?: CallOptions): Promise<BlobProperties>
  readonly administration?: Pick<BlobAdministration, 'getTags' | 'setTags' | 'setTier'> | undefined
}

const userPrefix = 'user.'
const azurePrefix = 'azure.'
/** What the names of extended attributes begin with. */
export const xattrPrefixes: readonly string[] = [userPrefix, azurePrefix]
/** A name or a value that metadata does not take as it is: the name in hexadecimal, the value in base64. */
const encodedPrefix = 'abfs_xattr_'
/** An empty value: metadata has none, and no base64 is this. */
const emptyValue = '-'

/** The value of `user.…` in metadata; `undefined` when it is not there. */
export function userValue(metadata: Metadata, name: string): Uint8Array | undefined {
  const { plain, encoded } = keysOf(name)
  const coded = own(metadata, encoded)
  if (coded !== undefined) return Buffer.from(coded === emptyValue ? '' : coded, 'base64')
  const text = plain === undefined ? undefined : own(metadata, plain)
  return text === undefined ? undefined : Buffer.from(text)
}

/** Whether metadata has any `user.…` names. */
export function hasUserNames(metadata: Metadata): boolean {
  for (const key in metadata) if (!isPosixKey(key)) return true
  return false
}

/** The `user.…` names that metadata has. */
export function userNames(metadata: Metadata): string[] {
  return Object.keys(metadata).flatMap((key) => {
    if (key.startsWith(encodedPrefix)) {
      return [userPrefix + Buffer.from(key.slice(encodedPrefix.length), 'hex').toString()]
    }
    return isPosixKey(key) ? [] : [userPrefix + key]
  })
}

/**
 * `metadata` with a `user.…` attribute changed; without a change it is removed. `undefined` when
 * the attribute that is to be replaced or removed is not there; `EEXIST` for one that is to be new.
 */
export function withUserValue(
  metadata: Metadata,
  name: string,
  change: XattrChange | undefined,
): Metadata | undefined {
  const exists = userValue(metadata, name) !== undefined
  if (!exists && (change === undefined || change.replace)) return undefined
  if (exists && change?.create === true) throw new FileSystemError('EEXIST', 'setxattr')
  const { plain, encoded } = keysOf(name)
  const others = Object.entries(metadata).filter(([key]) => key !== plain && key !== encoded)
  if (change === undefined) return Object.fromEntries(others)
  const text = Buffer.from(change.value).toString('latin1')
  const isPlain = plain !== undefined && plainValue.test(text)
  const coded = Buffer.from(change.value).toString('base64')
  const entry = isPlain ? [plain, text] : [encoded, coded === '' ? emptyValue : coded]
  return Object.fromEntries([...others, entry])
}

export function isUserName(name: string): boolean {
  return name.startsWith(userPrefix) && name.length > userPrefix.length
}

/** The value of `azure.…`; `undefined` when there is none of that name, or of that blob. */
export async function azureValue(
  azure: AzureAttributes,
  path: BlobPath,
  name: string,
): Promise<string | undefined> {
  if (name === 'azure.tags') {
    const tags = await azure.administration?.getTags(path)
    return tags && new URLSearchParams({ ...tags }).toString()
  }
  const read = Object.hasOwn(azureReaders, name) ? azureReaders[name] : undefined
  return read === undefined ? undefined : read(await azure.head(path))
}

/** Writes `azure.tags` or `azure.tier`, and tells what the entry has of it then; `EPERM` for what only the service changes. */
export async function setAzureValue(
  azure: AzureAttributes,
  path: BlobPath,
  attribute: { readonly name: string; readonly value: Uint8Array },
): Promise<Pick<Entry, 'tagCount' | 'chosenTier'>> {
  const { name } = attribute
  const text = Buffer.from(attribute.value).toString()
  if (name === 'azure.tags' && azure.administration !== undefined) {
    const tags = Object.fromEntries(new URLSearchParams(text))
    await azure.administration.setTags(path, tags)
    return { tagCount: Object.keys(tags).length }
  }
  if (name === 'azure.tier' && azure.administration !== undefined) {
    const tier = tiers.find((each) => each.toLowerCase() === text.trim().toLowerCase())
    if (tier === undefined) throw new FileSystemError('EINVAL', 'setxattr')
    await azure.administration.setTier(path, tier)
    return { chosenTier: tier }
  }
  throw new FileSystemError('EPERM', 'setxattr')
}

/** Takes all of `azure.tags` away; whether there were any. `EPERM` for the others. */
export async function removeAzureValue(
  { administration }: AzureAttributes,
  path: BlobPath,
  name: string,
): Promise<boolean> {
  if (name !== 'azure.tags' || administration === undefined) {
    throw new FileSystemError('EPERM', 'removexattr', { path: formatPath(path) })
  }
  const tags = await administration.getTags(path)
  if (Object.keys(tags).length === 0) return false
  await administration.setTags(path, {})
  return true
}

const tiers: readonly Tier[] = ['Hot', 'Cool', 'Cold', 'Archive']

const azureReaders: Readonly<Record<string, (blob: BlobProperties) => string | undefined>> = {
  'azure.etag': ({ etag }) => etag,
  'azure.tier': ({ accessTier }) => accessTier,
  'azure.md5': ({ contentMd5 }) => contentMd5,
  'azure.type': ({ blobType }) => blobType,
  'azure.content-type': ({ contentType }) => contentType,
  'azure.version': ({ versionId }) => versionId,
  'azure.lease': ({ leaseState }) => leaseState,
}

/** `constructor` is a name like any other. */
function own(metadata: Metadata, key: string): string | undefined {
  return Object.hasOwn(metadata, key) ? metadata[key] : undefined
}

/** Not with two underscores: `__proto__` is no key of an object like others. */
const plainKey = /^(?!__)[a-z_][a-z0-9_]*$/
const plainValue = /^[!-~](?:[ -~]*[!-~])?$/

function keysOf(name: string): { readonly plain: string | undefined; readonly encoded: string } {
  const key = name.slice(userPrefix.length)
  const isPlain = plainKey.test(key) && !key.startsWith(encodedPrefix) && !isPosixKey(key)
  const encoded = encodedPrefix + Buffer.from(key).toString('hex')
  return { plain: isPlain ? key : undefined, encoded }
}
