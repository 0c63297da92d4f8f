import type { JWTPayload } from 'jose'
import { EntraRefusal } from './entra-refusal.ts'

/**
 * What the `claims` parameter asks of an access token, as far as Entra answers it in the token:
 * authentication contexts (`acrs`) and the client's capabilities (`xms_cc`). Other claims, such as
 * `nbf` of a revocation, only ask for a fresh token, which every token here is.
 */
export function requestedClaims(text: string | null): JWTPayload | undefined {
  if (text === null) return undefined
  const asked = Object(accessTokenOf(text))
  const contexts = valuesOf(asked.acrs)
  const capabilities = valuesOf(asked.xms_cc)
  return {
    ...(contexts.length === 0 ? {} : { acrs: contexts }),
    ...(capabilities.length === 0 ? {} : { xms_cc: capabilities }),
  }
}

function accessTokenOf(text: string): unknown {
  try {
    return Object(JSON.parse(text)).access_token
  } catch (cause) {
    const refusal = new EntraRefusal(400, 'invalid_request', 90100, 'The claims are not JSON.')
    throw Object.assign(refusal, { cause })
  }
}

function valuesOf(request: unknown): readonly string[] {
  const { value, values } = Object(request)
  if (Array.isArray(values)) return values.map(String)
  return typeof value === 'string' ? [value] : []
}
