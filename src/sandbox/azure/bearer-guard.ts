import { errors, jwtVerify } from 'jose'
import type { Tenant } from '../tenant.ts'

/** Who sent a token of the sandbox's tenant. */
export interface TokenHolder {
  readonly objectId: string
  readonly clientId: string
  /** Authentication contexts that the token was asked for with (`acrs`). */
  readonly contexts: readonly string[]
}

/** Why a token was refused. */
export class BearerRefusal extends Error {
  override readonly name = 'BearerRefusal'
  readonly reason: 'missing' | 'invalid' | 'expired' | 'audience'

  constructor(reason: BearerRefusal['reason'], options?: ErrorOptions) {
    super(`bearer ${reason}`, options)
    this.reason = reason
  }
}

/** Verifies `Authorization: Bearer` of the tenant: signature, issuer, times and audience. */
export async function verifyBearer(
  authorization: string | undefined,
  audiences: readonly string[],
  tenant: Tenant,
): Promise<TokenHolder> {
  const token = /^Bearer ([\w.~+/-]+=*)$/i.exec(authorization ?? '')?.[1]
  if (token === undefined) throw new BearerRefusal('missing')
  return verifyToken(token, audiences, tenant)
}

/** As {@link verifyBearer}, for a token that comes in a form. */
export async function verifyToken(
  token: string,
  audiences: readonly string[],
  tenant: Tenant,
): Promise<TokenHolder> {
  try {
    const { payload } = await jwtVerify(token, tenant.signer.publicKey, {
      issuer: `https://sts.windows.net/${tenant.tenantId}/`,
      audience: [...audiences],
      algorithms: ['RS256'],
      currentDate: new Date(tenant.clock.nowMs()),
      requiredClaims: ['exp', 'nbf', 'oid', 'appid'],
    })
    const { oid, appid, acrs } = payload
    const contexts = Array.isArray(acrs) ? acrs.map(String) : []
    return { objectId: String(oid), clientId: String(appid), contexts }
  } catch (error) {
    throw new BearerRefusal(reasonOf(error), { cause: error })
  }
}

function reasonOf(error: unknown): BearerRefusal['reason'] {
  if (error instanceof errors.JWTExpired) return 'expired'
  const isAudience = error instanceof errors.JWTClaimValidationFailed && error.claim === 'aud'
  return isAudience ? 'audience' : 'invalid'
}
