import type { FastifyRequest } from 'fastify'
import { peerCredentials } from '../peer-credentials.ts'
import type { Authenticator } from './authenticate.ts'
import { type ConnectionProof, connectionProof } from './callers/connection.ts'
import { ConnectorError } from './connector-error.ts'
import type { Caller } from './issuance.ts'
import type { Principal } from './policy.ts'
import { type Proving, provenKey, sessionCaller } from './proven-caller.ts'
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
  readonly zenmlSessions: ZenmlSessions
  /** Proofs of possession, and the sessions that they open. */
  readonly proving: Proving
  /** Whether the connector listens on a socket of this machine. */
  readonly unixSocket: boolean
}

/** Names and counts the caller of each request, by its headers alone. */
export function admission(options: AdmissionOptions): Desk['admit'] {
  return async (request) => {
    refuseBrowser(request)
    const caller = await callerOf(options, request)
    options.limit.take(`caller ${caller.principal.name}`)
    return { ...caller, peer: peerOf(request, options.unixSocket) }
  }
}

async function callerOf(options: AdmissionOptions, request: FastifyRequest): Promise<Caller> {
  const { proving, limit, zenmlSessions: sessions } = options
  const { authorization, dpop } = request.headers
  const token = /^DPoP ([\w-]+)$/i.exec(authorization ?? '')?.[1]
  if (dpop === undefined && token === undefined) {
    const path = request.routeOptions.config.path ?? ''
    const isSession = path.startsWith(ZENML_BASE) && sessions.isSession(authorization)
    const known = isSession ? sessions.read(authorization) : undefined
    return { principal: known ?? (await identified(options, request)) }
  }
  try {
    const jkt = await provenKey(proving, request, token)
    if (token !== undefined) return await sessionCaller(proving, request, { token, jkt })
    return { principal: await identified(options, request), jkt }
  } catch (error) {
    limit.take(`address ${request.ip}`)
    throw error
  }
}

/** An address; of a process of this machine its user and number. */
function peerOf(request: FastifyRequest, unixSocket: boolean): string {
  const peer = unixSocket ? peerCredentials(request.raw.socket) : undefined
  return peer === undefined ? request.ip : `uid ${peer.uid} pid ${peer.pid}`
}

function identified(options: AdmissionOptions, request: FastifyRequest): Promise<Principal> {
  const connection = connectionProof(request.raw.socket, options.unixSocket)
  return options.identify(request.headers.authorization, request.ip, connection)
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
