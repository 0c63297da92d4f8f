import type { HttpHandler } from '../../http/handler.ts'

/** How the documents and keys of an issuer are fetched: no redirects, answers of a bounded length. */
export type KeyFetch = (
  url: string,
  options: { readonly signal?: AbortSignal | undefined },
) => Promise<Response>

/** No key set is longer, bytes. */
const maxBytes = 512 * 1024

/** Fetches with the connector's own connections, which trust its `caFile`. */
export function keyFetch(http: HttpHandler): KeyFetch {
  return async (url, { signal }) => {
    const { status, body } = await http({
      method: 'GET',
      url: new URL(url),
      headers: { accept: 'application/json' },
      operation: 'connector.keys',
      maxBodyBytes: maxBytes,
      signal,
    })
    // A redirect is not followed: it is no document.
    const isBodiless = status === 204 || status === 304 || status < 200
    return isBodiless ? Response.error() : new Response(Uint8Array.from(body), { status })
  }
}
