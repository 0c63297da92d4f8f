import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type Environment, type Found, mistake, type Source } from './config-source.ts'
import { CustomerKey } from './customer-key.ts'
import { FileSystemError } from './errors.ts'

const fileVariable = 'ABFS_ENCRYPTION_KEY_FILE'
const keyVariable = 'ABFS_ENCRYPTION_KEY'
const wanted = 'an AES-256 key: 32 bytes, or base64 of them (`openssl rand -base64 32` makes one)'
/** Who may read the file beside its owner is its owner's matter, but not everybody, and who may write it chooses the key. */
const forbiddenBits = 0o027

/** The customer's key that flag or environment give. A flag hides the environment. */
export function readCustomerKey(source: Source): CustomerKey | undefined {
  const file = source.find('encryptionKeyFile', [fileVariable])
  const text = file?.origin.startsWith('--') ? undefined : source.variable([keyVariable])
  if (file !== undefined && text !== undefined) {
    throw mistake(keyVariable, `and ${fileVariable} are both set: keep one`)
  }
  if (file !== undefined) return keyInFile(file)
  if (text === undefined) return undefined
  source.origins['encryptionKeyFile'] = keyVariable
  return CustomerKey.from(text.value.trim()) ?? refuse(text.origin, `must be ${wanted}`)
}

/** Whether one is given, which is not read here. */
export function hasCustomerKey(flag: string | undefined, environment: Environment): boolean {
  return Boolean(flag ?? (environment[fileVariable] || environment[keyVariable]))
}

function keyInFile({ value, origin }: Found): CustomerKey {
  const file = resolve(value)
  const bytes = readPrivate(file, origin)
  const key = CustomerKey.from(bytes) ?? CustomerKey.from(bytes.toString('latin1').trim())
  return key ?? refuse(origin, `must name a file with ${wanted}; ${file} has something else`)
}

/** Mode and content are of one open file, which nobody exchanges between. */
function readPrivate(file: string, origin: string): Buffer {
  let fd: number | undefined
  try {
    fd = openSync(file, 'r')
    const { mode } = fstatSync(fd)
    if ((mode & forbiddenBits) !== 0) throw tooOpen(file, origin, mode)
    return readFileSync(fd)
  } catch (cause) {
    if (cause instanceof FileSystemError) throw cause
    throw unreadable(file, origin, cause)
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function refuse(origin: string, detail: string): never {
  throw mistake(origin, detail)
}

function tooOpen(file: string, path: string, mode: number): FileSystemError {
  const bits = (mode & 0o777).toString(8)
  const detail = `the key file ${file} has mode ${bits}, open to others: chmod 600 ${file}`
  return new FileSystemError('EACCES', 'config', { path, detail })
}

function unreadable(file: string, path: string, cause: unknown): FileSystemError {
  const denied = cause instanceof Error && 'code' in cause && cause.code === 'EACCES'
  const detail = `cannot read the key file ${file}`
  return new FileSystemError(denied ? 'EACCES' : 'ENOENT', 'config', { path, detail, cause })
}
