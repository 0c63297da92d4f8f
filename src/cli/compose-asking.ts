/**
 * How whoever gives credentials is asked: a connector with its callers' proof, or the process's own identity.
 */
import { readFile } from 'node:fs/promises'
import type { TokenExchange } from '../agent/token-exchange.ts'
import { type Clock, systemClock } from '../clock.ts'
import type { CallerProof, Config, ConnectorSettings } from '../config.ts'
import type { Asking } from '../connector/asking.ts'
import type { CredentialKind } from '../connector/protocol.ts'
import type { CredentialProvider } from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import { type HttpHandler, intercept } from '../http/handler.ts'
import { retry } from '../http/retry.ts'
import { trace } from '../http/trace.ts'
import { readAuthorities } from './authorities.ts'

/** Tokens beyond storage; `undefined` without a connector. */
export async function openExchange(
  config: Config,
  http: HttpHandler,
): Promise<TokenExchange | undefined> {
  const { connector } = config
  if (connector === undefined) return undefined
  const { TokenExchange } = await import('../agent/token-exchange.ts')
  return new TokenExchange(await openAsking(connector, http))
}

/** How the connector is asked: with the caller's proof, or in sessions where that is wanted. */
export async function openAsking(
  { url, proof, session }: ConnectorSettings,
  http: HttpHandler,
): Promise<Asking & { readonly clock: Clock }> {
  const clock = systemClock
  const { checkedProof } = await import('../connector/asking.ts')
  const callerProof = (): Promise<string> => checkedProof(() => readProof(proof))
  const asking = { endpoint: url, callerProof, http: patient(http, clock), clock }
  if (!session) return asking
  const { ClientSessions } = await import('../connector/client-session.ts')
  return { ...asking, sessions: new ClientSessions(asking) }
}

/** Less patience than with storage: a connector is near, and every request waits for it. */
export function patient(http: HttpHandler, clock: Clock): HttpHandler {
  return intercept(http, retry({ clock, maxAttempts: 4, deadlineMs: 30_000 }), trace(clock))
}

/** The connector that is configured; the process's own identity where none is. */
export async function openProvider(
  config: Config,
  http: HttpHandler,
  kind?: CredentialKind,
): Promise<CredentialProvider> {
  const { connector } = config
  if (connector === undefined) {
    const { openOwnIdentity } = await import('./own-identity.ts')
    return openOwnIdentity(config, readAuthorities(config))
  }
  const { ConnectorClient } = await import('../connector/client.ts')
  return new ConnectorClient({ ...(await openAsking(connector, http)), kind })
}

/** Read anew each time: a workload's token is replaced under us. */
async function readProof(proof: CallerProof): Promise<string> {
  if (proof.kind === 'key') return proof.key.reveal()
  try {
    return await readFile(proof.file, 'utf8')
  } catch (cause) {
    throw unreadable(proof.file, 'the token file cannot be read', cause)
  }
}

function unreadable(path: string, detail: string, cause: unknown): FileSystemError {
  return new FileSystemError('EINVAL', 'config', { path, detail, cause })
}
