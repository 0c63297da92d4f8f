import { isIP } from 'node:net'
import type { JWTVerifyGetKey } from 'jose'
import { z } from 'zod'
import type { Clock } from '../../clock.ts'
import type { KeyFetch } from './key-fetch.ts'
import { remoteKeySet } from './key-set.ts'

const timeoutMs = 5000
const maxBytes = 64 * 1024
/** How long a failure is the answer, so that tokens cannot make it ask again and again. */
const pauseMs = 5000
const metadata = z.object({ issuer: z.string(), jwks_uri: z.string() })

/**
 * The keys of an issuer that says itself where they are (OpenID Connect Discovery). Asked when the
 * first token comes, once: https alone, no redirects, at most 64 KiB in five seconds. `send` is how.
 */
export function discoveredKeySet(issuer: string, clock: Clock, send: KeyFetch): JWTVerifyGetKey {
  let keys: Promise<JWTVerifyGetKey> | undefined
  let failedAtMs: number | undefined
  const discover = async (): Promise<JWTVerifyGetKey> => {
    try {
      return remoteKeySet(await keySetUrl(issuer, send), clock, send)
    } catch (error) {
      failedAtMs = clock.nowMs()
      throw error
    }
  }
  return async (header, token) => {
    const isOver = failedAtMs !== undefined && clock.nowMs() - failedAtMs >= pauseMs
    if (keys === undefined || isOver) {
      failedAtMs = undefined
      keys = discover()
    }
    return (await keys)(header, token)
  }
}

/** Where an issuer says that its keys are. Rejects with `Error` when it does not say so safely. */
export async function keySetUrl(issuer: string, send: KeyFetch): Promise<URL> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  const response = await send(url, { signal: AbortSignal.timeout(timeoutMs) })
  if (response.status !== 200) throw new Error(`${url} answers ${response.status}`)
  const result = metadata.safeParse(JSON.parse(await boundedText(response, url)))
  if (!result.success) throw new Error(`${url} is no document of an issuer`)
  if (result.data.issuer !== issuer) throw new Error(`${url} is of another issuer`)
  return checkedKeySet(result.data.jwks_uri, new URL(issuer).hostname)
}

/** A document must not send the connector to a machine that it names by number, or in the clear. */
function checkedKeySet(text: string, issuerHost: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const host = url?.hostname.replace(/^\[|\]$/g, '') ?? ''
  const isElsewhere = isIP(host) !== 0 || host === 'localhost' || !host.includes('.')
  const isSafe = url?.protocol === 'https:' && url.username === ''
  if (url !== undefined && isSafe && (url.hostname === issuerHost || !isElsewhere)) return url
  throw new Error('the issuer names a key set that is not https, or an address')
}

async function boundedText(response: Response, url: string): Promise<string> {
  const pieces: Uint8Array[] = []
  let size = 0
  for await (const piece of response.body ?? []) {
    size += piece.byteLength
    if (size > maxBytes) throw new Error(`${url} is longer than ${maxBytes} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}
