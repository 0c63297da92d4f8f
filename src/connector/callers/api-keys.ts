import { createHash, randomBytes } from 'node:crypto'
import { type Algorithm, hash, verify } from '@node-rs/argon2'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../clock.ts'
import { Limiter } from '../../concurrency.ts'
import type { KeyBody } from '../model/connector.ts'
import type { StoredRecord } from '../model/record.ts'
import type { Principal } from '../policy.ts'

/** A new key: for its caller, once. */
export interface NewKey {
  /** The public part, by which it is found and revoked. */
  readonly name: string
  readonly key: string
  /** What is kept of it. */
  readonly hash: string
}

/** `abfsk_`, the public part, and 256 random bits in base64url. */
const KEY_FORM = /^abfsk_([a-z0-9]{12})_[A-Za-z0-9_-]{43}$/
/** argon2id as OWASP advises: 19 MiB, two passes, one lane. The enum is const: its value for id is 2. */
const parameters = { algorithm: 2 as Algorithm, memoryCost: 19 * 1024, timeCost: 2, parallelism: 1 }
/** Keys that are checked at the same time: each takes a thread and 19 MiB. */
const maxChecks = 2
/** How long a key that was checked is known by its SHA-256, milliseconds. */
const verifiedMs = 5 * 60_000

/** Makes a key. The hash cannot be turned back, and neither is kept here. */
export async function makeApiKey(): Promise<NewKey> {
  const name = randomBytes(8).readBigUInt64BE().toString(36).padStart(13, '0').slice(-12)
  const key = `abfsk_${name}_${randomBytes(32).toString('base64url')}`
  return { name, key, hash: await hash(key, parameters) }
}

/** Whether a proof looks like a key of this kind. */
export function isApiKey(proof: string): boolean {
  return KEY_FORM.test(proof)
}

/** What an {@link ApiKeys} works with. */
export interface ApiKeysOptions {
  /** The keys there are, by their public parts. */
  readonly keys: () => Promise<ReadonlyMap<string, StoredRecord<KeyBody>>>
  readonly clock: Clock
}

/**
 * Checks keys. argon2id runs when a key is first seen, not on each request: after that the SHA-256
 * of the key is known for five minutes, with the revision of its record. A revoked, changed or
 * ended key is refused by its record, which is looked at each time.
 */
export class ApiKeys {
  readonly #options: ApiKeysOptions
  readonly #verified: LRUCache<string, { readonly revision: number; readonly untilMs: number }>
  readonly #checks = new Limiter(maxChecks)
  #nobody: Promise<string> | undefined

  constructor(options: ApiKeysOptions) {
    this.#options = options
    this.#verified = new LRUCache({ max: 10_000 })
  }

  /** Who holds the key; `undefined` when it is none, or ended. */
  async principal(proof: string): Promise<Principal | undefined> {
    const name = KEY_FORM.exec(proof)?.[1]
    const record = name === undefined ? undefined : (await this.#options.keys()).get(name)
    if (record === undefined) {
      // As slow as a wrong key of a name that exists.
      await this.#check(await this.#anyHash(), proof)
      return undefined
    }
    if (!(await this.#isVerified(record, proof)) || this.#hasEnded(record)) return undefined
    const { caller, admin } = record.body
    return admin ? { name: caller, admin } : { name: caller }
  }

  async #isVerified(
    { id, revision, body }: StoredRecord<KeyBody>,
    proof: string,
  ): Promise<boolean> {
    const digest = createHash('sha256').update(`${id}\0${proof}`).digest('base64')
    const nowMs = this.#options.clock.nowMs()
    const known = this.#verified.get(digest)
    if (known?.revision === revision && known.untilMs > nowMs) return true
    if (!(await this.#check(body.hash, proof))) return false
    this.#verified.set(digest, { revision, untilMs: nowMs + verifiedMs })
    return true
  }

  #hasEnded({ body }: StoredRecord<KeyBody>): boolean {
    return body.expiresAtMs !== undefined && body.expiresAtMs <= this.#options.clock.nowMs()
  }

  #check(hashed: string, proof: string): Promise<boolean> {
    return this.#checks.run(() => verify(hashed, proof))
  }

  #anyHash(): Promise<string> {
    this.#nobody ??= hash(randomBytes(32), parameters)
    return this.#nobody
  }
}
