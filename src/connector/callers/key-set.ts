import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose'
import type { Clock } from '../../clock.ts'
import type { KeyFetch } from './key-fetch.ts'

/** How often a key set is read again, so that keys which were withdrawn go, milliseconds. */
const renewAfterMs = 10 * 60_000
/** How long the last key set serves while its issuer does not answer, milliseconds. */
const maxStaleMs = 24 * 3600_000
/** A key that is not known makes the set be read again, so often at most, milliseconds. */
const cooldownMs = 30_000

/**
 * The keys of an issuer, by its URL. A token with a key that is not known makes the set be read
 * again at once (rotation). An issuer that does not answer is done without for a day (outage);
 * after that every token is refused until it answers. `send` is how it is asked.
 */
export function remoteKeySet(url: URL, clock: Clock, send: KeyFetch): JWTVerifyGetKey {
  const remote = createRemoteJWKSet(url, {
    [customFetch]: (address, { signal }) => send(address, { signal }),
    timeoutDuration: 5000,
    cacheMaxAge: Number.POSITIVE_INFINITY,
    cooldownDuration: cooldownMs,
  })
  let readAtMs: number | undefined
  let triedAtMs = Number.NEGATIVE_INFINITY
  const reload = async (): Promise<void> => {
    triedAtMs = clock.nowMs()
    await remote.reload()
    readAtMs = clock.nowMs()
  }
  return async (header, token) => {
    const nowMs = clock.nowMs()
    const ageMs = readAtMs === undefined ? Number.POSITIVE_INFINITY : nowMs - readAtMs
    if (ageMs > maxStaleMs) await reload()
    // What it finds is for the next tokens; when it fails the keys there are still serve.
    else if (ageMs > renewAfterMs && nowMs - triedAtMs > cooldownMs) reload().catch(() => undefined)
    return remote(header, token)
  }
}
