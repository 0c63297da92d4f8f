import { randomBytes, randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../../clock.ts'
import type { Scope } from '../../credential/credential.ts'
import { segmentsOf } from '../canonical-scope.ts'
import { ConnectorError } from '../connector-error.ts'
import type { SessionStore, StoredSession } from '../state/session-store.ts'
import { isWithin, type TokenTarget } from '../token-target.ts'
import { isSame } from './dpop.ts'
import type { SessionBody } from './session.ts'
import { hashOf } from './token-hash.ts'

export type Session = StoredSession<SessionBody>

/** What the client gets of a session: once, and bound to its key. */
export interface SessionTokens {
  readonly session: Session
  readonly accessToken: string
  readonly refreshToken: string
}

/** What {@link Sessions} works with. */
export interface SessionsOptions {
  readonly store: SessionStore<SessionBody>
  readonly clock: Clock
  /** How long an access token is good, milliseconds. Default 15 minutes. */
  readonly accessMs?: number
  /** How long a session lives after its last refresh, milliseconds. Default one day. */
  readonly idleMs?: number
}

const TOKEN = /^abfs(a|r)_([0-9a-f-]{36})_[A-Za-z0-9_-]{43}$/
const keptHashes = 8
/** Another replica's revocation is seen after a second at most. */
const cachedMs = 1000
/** Sessions known without asking the store. */
const maxCached = 10_000

/**
 * Sessions: an access token for a quarter of an hour and a refresh token that is used once, both
 * bound to a key of the client. A refresh token that is used again ends its session.
 */
export class Sessions {
  readonly #options: Required<SessionsOptions>
  readonly #cache = new LRUCache<string, { readonly session: Session; readonly readAtMs: number }>({
    max: maxCached,
  })

  constructor(options: SessionsOptions) {
    this.#options = { accessMs: 15 * 60_000, idleMs: 24 * 3600_000, ...options }
  }

  /** Opens one for a caller whose grants policy has allowed. */
  async open(
    body: Pick<SessionBody, 'caller' | 'connector' | 'grants' | 'targets' | 'jkt'>,
  ): Promise<SessionTokens> {
    const { store, clock } = this.#options
    const id = randomUUID()
    const openedAtMs = clock.nowMs()
    const tokens = this.#tokens({ ...body, openedAtMs, usedRefreshHashes: [] }, id, 1)
    await store.add(tokens.session)
    return tokens
  }

  /** The session of an access or refresh token that `jkt` has signed for; rejects with `invalid_client`. */
  async authenticate(token: string, jkt: string): Promise<Session> {
    const [, kind, id = ''] = TOKEN.exec(token) ?? []
    const session = kind === 'r' ? await this.#options.store.get(id) : await this.#get(id)
    const nowMs = this.#options.clock.nowMs()
    if (session === undefined || session.expiresAtMs <= nowMs) throw ended()
    if (!isSame(session.body.jkt, jkt)) throw ended()
    if (kind === 'r') await this.#checkRefresh(session, token)
    else if (!isSame(session.body.accessHash, hashOf(token))) throw ended()
    else if (session.body.accessExpiresAtMs <= nowMs) throw ended('its access token has ended')
    return session
  }

  /** New tokens for a session whose refresh token was accepted. */
  async refresh(session: Session): Promise<SessionTokens> {
    const { body, refreshHash } = session
    const usedRefreshHashes = [refreshHash, ...body.usedRefreshHashes].slice(0, keptHashes)
    const tokens = this.#tokens({ ...body, usedRefreshHashes }, session.id, session.revision + 1)
    // Of two that use one token together, one is too late: it looks like a thief's, and is refused.
    if (!(await this.#options.store.replace(tokens.session)))
      throw ended('it was refreshed meanwhile')
    this.#cache.delete(session.id)
    return tokens
  }

  /** Ends a session; whether there was one. */
  async revoke(id: string): Promise<boolean> {
    this.#cache.delete(id)
    return isId(id) && this.#options.store.remove(id)
  }

  /** The session of a token, for introspection; `undefined` for one that is not good. */
  async find(token: string): Promise<Session | undefined> {
    const [, kind, id = ''] = TOKEN.exec(token) ?? []
    const session = await this.#options.store.get(isId(id) ? id : randomUUID())
    const nowMs = this.#options.clock.nowMs()
    if (session === undefined || session.expiresAtMs <= nowMs) return undefined
    const { accessHash, accessExpiresAtMs } = session.body
    const isGood = kind === 'a' ? accessExpiresAtMs > nowMs : true
    const wanted = kind === 'a' ? accessHash : session.refreshHash
    return isGood && isSame(wanted, hashOf(token)) ? session : undefined
  }

  /** Forgets what has ended; gives how many. */
  sweep(): Promise<number> {
    return this.#options.store.sweep(this.#options.clock.nowMs())
  }

  async #checkRefresh(session: Session, token: string): Promise<void> {
    const hash = hashOf(token)
    if (isSame(session.refreshHash, hash)) return
    if (!session.body.usedRefreshHashes.includes(hash)) throw ended()
    await this.revoke(session.id)
    throw ended('its refresh token was used twice, so it is revoked')
  }

  async #get(id: string): Promise<Session | undefined> {
    if (!isId(id)) return undefined
    const nowMs = this.#options.clock.nowMs()
    const known = this.#cache.get(id)
    if (known !== undefined && nowMs - known.readAtMs < cachedMs) return known.session
    const session = await this.#options.store.get(id)
    if (session === undefined) this.#cache.delete(id)
    else this.#cache.set(id, { session, readAtMs: nowMs })
    return session
  }

  #tokens(
    body: Omit<SessionBody, 'accessHash' | 'accessExpiresAtMs'>,
    id: string,
    revision: number,
  ): SessionTokens {
    const { clock, accessMs, idleMs } = this.#options
    const [accessToken, refreshToken] = [newToken('a', id), newToken('r', id)]
    const nowMs = clock.nowMs()
    const session: Session = {
      id,
      revision,
      refreshHash: hashOf(refreshToken),
      expiresAtMs: nowMs + idleMs,
      body: { ...body, accessHash: hashOf(accessToken), accessExpiresAtMs: nowMs + accessMs },
    }
    return { session, accessToken, refreshToken }
  }
}

/** Whether a session's grants cover a scope: one of them alone, segment by segment. */
export function covers({ body }: Session, scope: Scope): boolean {
  return body.grants.some((grant) => {
    const samePlace = grant.account === scope.account && grant.service === scope.service
    const sameContainer = grant.container === undefined || grant.container === scope.container
    const segments = segmentsOf(scope.prefix)
    const isBelow = segmentsOf(grant.prefix).every((each, index) => segments[index] === each)
    const isSubset = scope.permissions.every((each) => grant.permissions.includes(each))
    return samePlace && sameContainer && isBelow && isSubset
  })
}

/** Whether a session was opened for a target: one of its own, with all that is asked of it. */
export function coversTarget({ body }: Session, target: TokenTarget): boolean {
  return body.targets.some((given) => isWithin(target, given))
}

function newToken(kind: 'a' | 'r', id: string): string {
  return `abfs${kind}_${id}_${randomBytes(32).toString('base64url')}`
}

function isId(id: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)
}

function ended(why = 'there is no such session'): ConnectorError {
  return new ConnectorError('invalid_client', 'caller_unknown', {
    detail: `the session is not accepted: ${why}`,
    hint: 'open another session',
  })
}
