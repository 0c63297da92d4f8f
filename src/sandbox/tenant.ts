import { randomBytes, randomUUID } from 'node:crypto'
import type { JWTPayload } from 'jose'
import type { Clock } from '../clock.ts'
import { audienceOfResource } from './audience.ts'
import { createClientCertificate } from './certificate-authority.ts'
import {
  createJwtSigner,
  type IssuedToken,
  issueToken,
  type JwtSigner,
  type Principal,
} from './token-issuer.ts'

/** An answer that token endpoints give instead of a token. */
export interface TokenFailure {
  readonly status: number
  /** OAuth's word, such as `temporarily_unavailable`. */
  readonly error: string
  readonly description: string
  readonly retryAfterSeconds?: number
}

/** Thrown in place of a token while a failure is set. */
export class TokenFailureError extends Error {
  override readonly name = 'TokenFailureError'
  readonly failure: TokenFailure

  constructor(failure: TokenFailure) {
    super(failure.description)
    this.failure = failure
  }
}

/**
 * Another name of the tenant in paths of the Entra stand-in. Azure's SDKs ask Microsoft's own host
 * whether an unfamiliar authority is genuine, unless the tenant has this name, which is that of an
 * authority on one's own premises; a program that offers no switch for that question can use it.
 */
export const onPremisesTenant = 'adfs'

const secretBytes = 30

/**
 * The directory that both token endpoints issue from: one application with a secret, a certificate
 * and a federated credential, and two managed identities. Every token of the sandbox is made here.
 */
export class Tenant {
  readonly tenantId: string = randomUUID()
  readonly clientId: string = randomUUID()
  readonly systemIdentity: Principal = newPrincipal()
  readonly userIdentity: Principal = newPrincipal()
  readonly signer: JwtSigner
  readonly certificatePem: string
  readonly clock: Clock
  lifetimeMs: number
  failure: TokenFailure | undefined
  tokensIssued = 0
  readonly #objectId = randomUUID()
  #clientSecret = newSecret()

  private constructor(options: {
    readonly signer: JwtSigner
    readonly certificatePem: string
    readonly clock: Clock
    readonly lifetimeMs: number
  }) {
    this.signer = options.signer
    this.certificatePem = options.certificatePem
    this.clock = options.clock
    this.lifetimeMs = options.lifetimeMs
  }

  /** Makes a tenant, and the PEM of its application's key and certificate. */
  static async create(options: {
    readonly clock: Clock
    readonly lifetimeMs: number
  }): Promise<{ tenant: Tenant; clientCertificatePem: string }> {
    const [signer, certificate] = await Promise.all([
      createJwtSigner(),
      createClientCertificate('abfs sandbox client'),
    ])
    const { certificatePem, privateKeyPem } = certificate
    const tenant = new Tenant({ ...options, signer, certificatePem })
    return { tenant, clientCertificatePem: `${privateKeyPem}${certificatePem}` }
  }

  get clientSecret(): string {
    return this.#clientSecret
  }

  /** Replaces the secret; the old one is refused from here on. */
  rotateClientSecret(): string {
    this.#clientSecret = newSecret()
    return this.#clientSecret
  }

  /** The application, as it proved itself. */
  application(proof: Principal['proof']): Principal {
    return { clientId: this.clientId, objectId: this.#objectId, proof }
  }

  /**
   * Issues a token for a resource. Throws an `EntraRefusal` when the resource does not exist, a
   * `TokenFailureError` while a failure is set.
   */
  async issue(
    principal: Principal,
    resource: string,
    requested?: JWTPayload,
  ): Promise<IssuedToken> {
    if (this.failure !== undefined) throw new TokenFailureError(this.failure)
    const token = await issueToken(this.signer, {
      principal,
      audience: audienceOfResource(resource, this.tenantId),
      tenantId: this.tenantId,
      nowMs: this.clock.nowMs(),
      lifetimeMs: this.lifetimeMs,
      requested,
    })
    this.tokensIssued += 1
    return token
  }
}

function newPrincipal(): Principal {
  return { clientId: randomUUID(), objectId: randomUUID(), proof: '2' }
}

function newSecret(): string {
  return randomBytes(secretBytes).toString('base64url')
}
