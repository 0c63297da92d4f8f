import type { FastifyRequest } from 'fastify'
import type { Authenticator } from './authenticate.ts'
import { type ConnectionProof, connectionProof } from './callers/connection.ts'
import { ConnectorError } from './connector-error.ts'
import type { Principal } from './policy.ts'
import type { RateLimit } from './rate-limit.ts'
import type { Desk } from './route-server.ts'
import { ZENML_BASE } from './zenml-desk.ts'
import type { ZenmlSessions } from './zenml-session.ts'

/** Who proves what, from which address; throws `invalid_client`. */
export type Identification = (
  authorization: string | undefined,
  peer: string,
  connection?: ConnectionProof,
) => Promise<Principal>

/** What callers are admitted by. */
export interface AdmissionOptions {
  readonly identify: Identification
  readonly limit: RateLimit
  readonly sessions: ZenmlSessions
  /** Whether the connector listens on a socket of this machine. */
  readonly unixSocket: boolean
}

/** Names and counts the caller of each request. */
export function admission(options: AdmissionOptions): Desk['admit'] {
  const { identify, limit, sessions, unixSocket } = options
  return async (request) => {
    refuseBrowser(request)
    const { authorization } = request.headers
    const path = request.routeOptions.config.path ?? ''
    const isSession = path.startsWith(ZENML_BASE) && sessions.isSession(authorization)
    const connection = connectionProof(request.raw.socket, unixSocket)
    const principal =
      (isSession ? sessions.read(authorization) : undefined) ??
      (await identify(authorization, request.ip, connection))
    limit.take(`caller ${principal.name}`)
    return { principal, peer: request.ip }
  }
}

/** Unknown callers are counted by their address, so that guessing is slow. */
export function identification(authenticate: Authenticator, limit: RateLimit): Identification {
  return async (authorization, peer, connection) => {
    try {
      return await authenticate(authorization, connection)
    } catch (error) {
      limit.take(`address ${peer}`)
      throw error
    }
  }
}

/** No web page has business here, not even one that learnt a caller's key. */
function refuseBrowser(request: FastifyRequest): void {
  if (request.headers.origin === undefined) return
  throw new ConnectorError('access_denied', 'permission_not_granted', {
    detail: 'the connector does not answer web pages',
    hint: 'call it from a program',
  })
}
