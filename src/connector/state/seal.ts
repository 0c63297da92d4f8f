import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { FileSystemError } from '../../errors.ts'

/** Keys by their ids; the first seals, all open. */
export interface KeyRing {
  readonly current: string
  readonly keys: ReadonlyMap<string, Buffer>
}

/** Where a sealed text stands: it opens nowhere else. */
export interface SealPlace {
  readonly row: string
  readonly field: string
}

const ivBytes = 12
const tagBytes = 16
const keyBytes = 32

/**
 * Reads a key ring: one `ID:KEY` a line, the key 32 random bytes in base64; the first is used for
 * sealing. Throws `EINVAL` that names the line, never what is in it.
 */
export function parseKeyRing(text: string, source: string): KeyRing {
  const lines = text.split('\n').map((line) => line.trim())
  const keys = new Map<string, Buffer>()
  for (const [index, line] of lines.entries()) {
    if (line === '' || line.startsWith('#')) continue
    const [, id, encoded] = /^([\w-]{1,32}):([A-Za-z0-9+/_=-]+)$/.exec(line) ?? []
    const key = Buffer.from(encoded ?? '', 'base64')
    if (id === undefined || key.length !== keyBytes || keys.has(id)) {
      throw badRing(source, `line ${index + 1} is not ID:KEY, 32 bytes in base64, each id once`)
    }
    keys.set(id, key)
  }
  const [current] = keys.keys()
  if (current === undefined) throw badRing(source, 'has no key: abfs connector init makes one')
  return { current, keys }
}

/** A line of a key ring with a new key. */
export function generateRingLine(id: string): string {
  return `${id}:${randomBytes(keyBytes).toString('base64')}\n`
}

/** AES-256-GCM with the place as associated data: `v1.KEYID.base64url(iv, text, tag)`. */
export function seal(ring: KeyRing, place: SealPlace, text: string): string {
  const iv = randomBytes(ivBytes)
  const cipher = createCipheriv('aes-256-gcm', keyOf(ring, ring.current), iv)
  cipher.setAAD(associated(place))
  const sealed = Buffer.concat([
    iv,
    cipher.update(text, 'utf8'),
    cipher.final(),
    cipher.getAuthTag(),
  ])
  return `v1.${ring.current}.${sealed.toString('base64url')}`
}

/** Opens what was sealed at the same place. Throws `EACCES` for a wrong key, place or text. */
export function unseal(ring: KeyRing, place: SealPlace, sealed: string): string {
  const [, id, encoded] = /^v1\.([\w-]+)\.([\w-]+)$/.exec(sealed) ?? []
  const bytes = Buffer.from(encoded ?? '', 'base64url')
  if (id === undefined || bytes.length < ivBytes + tagBytes)
    throw cannotOpen(place, 'is no sealed text')
  const decipher = createDecipheriv('aes-256-gcm', keyOf(ring, id), bytes.subarray(0, ivBytes), {
    authTagLength: tagBytes,
  })
  decipher.setAAD(associated(place))
  decipher.setAuthTag(bytes.subarray(-tagBytes))
  try {
    const opened = decipher.update(bytes.subarray(ivBytes, -tagBytes))
    return Buffer.concat([opened, decipher.final()]).toString('utf8')
  } catch (cause) {
    throw cannotOpen(place, `is not opened by the key '${id}' of this ring`, cause)
  }
}

/** A key for another purpose, made of the one that seals (HKDF): neither tells the other. */
export function deriveKey(ring: KeyRing, purpose: string): Buffer {
  const key = keyOf(ring, ring.current)
  return Buffer.from(hkdfSync('sha256', key, '', `abfs ${purpose}`, keyBytes))
}

/** The id of the key that sealed it. */
export function sealingKeyOf(sealed: string): string | undefined {
  return /^v1\.([\w-]+)\./.exec(sealed)?.[1]
}

function associated({ row, field }: SealPlace): Buffer {
  return Buffer.from(JSON.stringify(['abfs', row, field]))
}

function keyOf(ring: KeyRing, id: string): Buffer {
  const key = ring.keys.get(id)
  if (key !== undefined) return key
  throw new FileSystemError('EACCES', 'connector.seal', {
    detail: `the ring of sealing keys has no key '${id}': add the key with which the state was sealed`,
  })
}

function cannotOpen({ row, field }: SealPlace, fault: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EACCES', 'connector.seal', {
    detail: `'${field}' of ${row} ${fault}: give the key ring with which this state was sealed`,
    cause,
  })
}

function badRing(path: string, detail: string): FileSystemError {
  return new FileSystemError('EINVAL', 'connector.seal', { detail: `the key ring ${detail}`, path })
}
