import type { Socket } from 'node:net'
import { peerOwner } from './peer-owner.ts'
import { invalid, type Protocol } from './protocol.ts'
import { appService, azureMl, cloudShell, imds } from './protocols.ts'
import { Refusal } from './refusal.ts'
import { isSecret } from './secret-text.ts'

/** Which protocols an agent speaks beside App Service's and IMDS below a secret path. */
export interface ProtocolOptions {
  /** Answers Azure Machine Learning's protocol, which old clients of App Service know too. */
  readonly azureMl?: boolean | undefined
  /** Answers Cloud Shell's protocol. */
  readonly cloudShell?: boolean | undefined
  /** Answers IMDS without a secret too, to processes of this user alone. Linux only. */
  readonly openImds?: boolean | undefined
}

/** What tells the agent's own clients from any other process of the machine. */
export interface AgentSecrets {
  /** 256 bits, sent in a header. */
  readonly header: string
  /** 256 bits in lower-case hexadecimal: some clients change the case of what stands in a URL. */
  readonly path: string
}

/** One request, as far as it decides who answers it. */
export interface RoutedRequest {
  readonly method: string
  /** As sent, without query. */
  readonly path: string
  readonly query: URLSearchParams
  /** Whether the `Metadata` header is there: its absence makes a request a probe. */
  readonly hasMetadata: boolean
  readonly socket: Socket
}

/** Finds the protocol that a request speaks, and checks the secret where the path holds it. */
export type Router = (request: RoutedRequest) => Protocol | Promise<Protocol>

/** The paths below the agent's root; clients differ in the slash at their end. */
export const paths = {
  appService: '/msi/token',
  imds: '/metadata/identity/oauth2/token',
  cloudShell: '/msi',
} as const

/** Routes by exact paths; everything else is answered 404, and nothing is passed on. */
export function createRouter(secrets: AgentSecrets, options: ProtocolOptions): Router {
  const protocols = {
    appService: appService(secrets.header),
    azureMl: azureMl(secrets.header),
    imds: imds(),
    cloudShell: cloudShell(),
  }
  return (request) => {
    const { path } = request
    if (isPath(path, paths.appService)) {
      checkMethod(request, 'GET')
      const old = options.azureMl === true && request.query.get('api-version') === '2017-09-01'
      return old ? protocols.azureMl : protocols.appService
    }
    if (isImdsPath(path)) {
      checkMethod(request, 'GET')
      return withoutSecret(request, protocols.imds, options)
    }
    const below = belowSecret(path, secrets)
    if (below !== undefined && isImdsPath(below)) {
      checkMethod(request, 'GET')
      return protocols.imds
    }
    if (options.cloudShell === true && below !== undefined && isPath(below, paths.cloudShell)) {
      checkMethod(request, 'POST')
      return protocols.cloudShell
    }
    throw unknownPath()
  }
}

/** A probe gets IMDS's own refusal, which says that it is there; a request must be of this user. */
async function withoutSecret(
  request: RoutedRequest,
  protocol: Protocol,
  options: ProtocolOptions,
): Promise<Protocol> {
  if (!request.hasMetadata) return protocol
  if (options.openImds !== true) {
    throw new Refusal(401, 'unauthorized', {
      message:
        'the path lacks the secret that AZURE_POD_IDENTITY_AUTHORITY_HOST holds; abfs agent --open-imds serves clients that drop it',
    })
  }
  if ((await peerOwner(request.socket)) === process.getuid?.()) return protocol
  throw new Refusal(403, 'forbidden', { message: 'the agent serves processes of its own user' })
}

/** What follows the secret in a path that begins with it. */
function belowSecret(path: string, secrets: AgentSecrets): string | undefined {
  const end = path.indexOf('/', 1)
  if (end === -1 || !isSecret(path.slice(1, end), secrets.path)) return undefined
  return path.slice(end)
}

function isPath(path: string, expected: string): boolean {
  return path === expected || path === `${expected}/`
}

function isImdsPath(path: string): boolean {
  return isPath(path.replace(/^\/metadata\//i, '/metadata/'), paths.imds)
}

function checkMethod(request: RoutedRequest, method: string): void {
  if (request.method === method) return
  const message = `expected ${method} for this path`
  throw new Refusal(405, 'invalid_request', { message, headers: { allow: method } })
}

function unknownPath(): Refusal {
  const message = `the agent answers ${paths.appService} and ${paths.imds} alone`
  return new Refusal(404, 'not_found', { message })
}

/** Splits a request's target as it was sent. Refuses what is no plain path: nothing is proxied. */
export function splitTarget(target: string): Pick<RoutedRequest, 'path' | 'query'> {
  if (!target.startsWith('/')) throw invalid('expected a path: the agent is no proxy')
  const mark = target.indexOf('?')
  const path = mark === -1 ? target : target.slice(0, mark)
  return { path, query: new URLSearchParams(mark === -1 ? '' : target.slice(mark)) }
}
