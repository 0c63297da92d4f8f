/*
 * Docker's credential helper protocol: the verb is an argument, the registry comes on standard
 * input, the answer is JSON on standard output. Failures go to standard output too, where Docker
 * looks for one particular sentence to tell "nothing for this registry" from a failure.
 */
import type { BearerCredential } from '../credential/credential.ts'
import type { ExchangeTarget } from './token-exchange.ts'

/** What a helper is asked. */
export type DockerVerb = 'get' | 'list' | 'store' | 'erase' | 'version'

/** What a helper serves. */
export interface DockerCredentialOptions {
  /**
   * The registries it is for; every registry of Azure when empty. `HOST[:PORT]=REGISTRY` is one that
   * Docker reaches under another name: a private endpoint, a proxy, a sandbox.
   */
  readonly registries: readonly string[]
  /** Limits what is asked for, such as `repository:team/app:pull`; the connector's policy when absent. */
  readonly scope?: string | undefined
  readonly version: string
  readonly exchange: (target: ExchangeTarget) => Promise<BearerCredential>
}

/** What a helper prints, and its exit code. */
export interface DockerAnswer {
  readonly stdout: string
  readonly exitCode: 0 | 1
}

/** The user that Azure's registries know token holders by. */
const tokenUser = '00000000-0000-0000-0000-000000000000'
/** The sentence after which Docker goes on without credentials. */
const notFound = 'credentials not found in native keychain'

/** Answers one call of Docker. Rejects as `exchange` does when no token is to be had. */
export async function answerDocker(
  verb: DockerVerb,
  input: string,
  options: DockerCredentialOptions,
): Promise<DockerAnswer> {
  switch (verb) {
    case 'get':
      return get(input, options)
    case 'list':
      return done(
        JSON.stringify(
          Object.fromEntries(
            options.registries.map((name) => [`https://${name.split('=')[0]}`, tokenUser]),
          ),
        ),
      )
    case 'store':
      return failed(
        'docker login is not needed: abfs asks its connector for a token at each pull and push, and stores none',
      )
    case 'erase':
      return done('')
    case 'version':
      return done(`docker-credential-abfs (abfs) ${options.version}`)
    default:
      return verb satisfies never
  }
}

async function get(input: string, options: DockerCredentialOptions): Promise<DockerAnswer> {
  const url = input.trim()
  if (url === '') return failed('no credentials server URL')
  const registry = servedRegistry(url, options)
  if (registry === undefined) return failed(notFound)
  const { scope } = options
  const { token } = await options.exchange({ audience: registry, scope })
  return done(JSON.stringify({ ServerURL: url, Username: tokenUser, Secret: token }))
}

/** The registry of what Docker sends, with or without scheme and path; `undefined`: not ours. */
function servedRegistry(url: string, { registries }: DockerCredentialOptions): string | undefined {
  const host = /^(?:https:\/\/)?([a-z0-9.-]+(?::\d+)?)(?:\/[\w./-]*)?$/i
    .exec(url)?.[1]
    ?.toLowerCase()
  if (host === undefined) return undefined
  const alias = registries.find((each) => each.startsWith(`${host}=`))
  const registry = alias?.slice(host.length + 1) ?? host
  if (!/^[a-z0-9][a-z0-9-]{3,61}[a-z0-9](\.[a-z]+)*\.azurecr\.(io|cn|us)$/.test(registry)) {
    return undefined
  }
  const isListed = alias !== undefined || registries.length === 0 || registries.includes(host)
  return isListed ? registry : undefined
}

function done(stdout: string): DockerAnswer {
  return { stdout, exitCode: 0 }
}

function failed(stdout: string): DockerAnswer {
  return { stdout, exitCode: 1 }
}
