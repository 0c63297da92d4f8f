import { strict as assert } from 'node:assert'
import { decodeJwt } from 'jose'
import type { Clock } from '../clock.ts'
import { type BearerCredential, bearerCredential } from '../credential/credential.ts'
import type { HttpHandler, HttpResponse } from '../http/handler.ts'
import {
  type AzureQuestion,
  answerError,
  jsonOf,
  roleMissing,
  unavailable,
} from './azure-answer.ts'
import { ConnectorError } from './connector-error.ts'
import { type Fetched, RenewedValues } from './renewed-values.ts'
import { registryScopes } from './token-policy.ts'
import type { RegistryTarget } from './token-target.ts'

/** How one registry is reached. */
export interface RegistryConfig {
  /** Its login server: `NAME.azurecr.io`. */
  readonly name: string
  /** `https://NAME` when absent. */
  readonly endpoint?: URL | undefined
  /** Whose audience Entra's token has: the registries' own, or the management's. */
  readonly audience: 'registry' | 'management'
}

/** What a {@link RegistryExchange} works with. */
export interface RegistryExchangeOptions {
  readonly registries: readonly RegistryConfig[]
  /** The connector's own token for a resource of Entra. */
  readonly tokenFor: (resource: string) => Promise<string>
  readonly http: HttpHandler
  readonly clock: Clock
}

const audiences = {
  registry: 'https://containerregistry.azure.net',
  management: 'https://management.azure.com',
} as const

const maxAnswerBytes = 256 * 1024

/**
 * Turns the connector's identity into a registry's own tokens: Entra's token for a refresh token,
 * kept in memory until half of its life is over, and that one for an access token that names
 * repositories and actions. The refresh token, which is good for all that the identity may do, and
 * the administrator's account never leave.
 */
export class RegistryExchange {
  readonly #options: RegistryExchangeOptions
  readonly #refreshTokens: RenewedValues<string>

  constructor(options: RegistryExchangeOptions) {
    this.#options = options
    this.#refreshTokens = new RenewedValues(options.clock, (name) => this.#exchange(name))
  }

  /** A token for exactly the repositories and actions of `target`. Rejects with `ConnectorError`. */
  async issue(target: RegistryTarget): Promise<BearerCredential> {
    const { registry } = target
    const answer = await this.#access(target, await this.#refreshTokens.get(registry))
    if (answer.status !== 401) return this.#read(answer, target)
    // The refresh token may have been revoked: one more, and its refusal stands.
    this.#refreshTokens.forget(registry)
    return this.#read(await this.#access(target, await this.#refreshTokens.get(registry)), target)
  }

  async #exchange(name: string): Promise<Fetched<string>> {
    const { audience } = this.#config(name)
    const token = await this.#options.tokenFor(audiences[audience])
    const answer = await this.#post(name, '/oauth2/exchange', [
      ['grant_type', 'access_token'],
      ['service', name],
      ['access_token', token],
    ])
    const isRefused = answer.status === 401 || answer.status === 403
    if (isRefused && audience === 'management') throw armAudienceRefused(name)
    const { refresh_token: value } = this.#success(answer, question(name, 'AcrPull'))
    if (typeof value !== 'string') throw unavailable(nameOf(name), 'no refresh token', false)
    return { value, expiresAtMs: expiryOf(value, name) }
  }

  #access(target: RegistryTarget, refreshToken: string): Promise<HttpResponse> {
    const scopes = registryScopes(target).map((scope): [string, string] => ['scope', scope])
    return this.#post(target.registry, '/oauth2/token', [
      ['grant_type', 'refresh_token'],
      ['service', target.registry],
      ...scopes,
      ['refresh_token', refreshToken],
    ])
  }

  #read(answer: HttpResponse, target: RegistryTarget): BearerCredential {
    const { registry, repositories } = target
    const pushes = repositories.some(({ actions }) => actions.includes('push'))
    const needed = question(registry, pushes ? 'AcrPush' : 'AcrPull')
    const { access_token: token } = this.#success(answer, needed)
    if (typeof token !== 'string') throw unavailable(nameOf(registry), 'no access token', false)
    const given = accessOf(token)
    assertNoWider(given, target)
    if (!isWhole(given, target)) throw roleMissing(needed)
    return bearerCredential(token, expiryOf(token, registry))
  }

  #success(answer: HttpResponse, asked: AzureQuestion): Record<string, unknown> {
    if (answer.status === 200) return jsonOf(answer)
    throw answerError(answer, asked)
  }

  async #post(
    name: string,
    path: string,
    fields: readonly (readonly [string, string])[],
  ): Promise<HttpResponse> {
    const url = new URL(path, this.#config(name).endpoint ?? `https://${name}`)
    const form = new URLSearchParams()
    for (const [field, value] of fields) form.append(field, value)
    try {
      return await this.#options.http({
        method: 'POST',
        url,
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          accept: 'application/json',
        },
        body: Buffer.from(form.toString()),
        operation: 'connector.registry',
        maxBodyBytes: maxAnswerBytes,
        idempotent: true,
      })
    } catch (cause) {
      throw Object.assign(unavailable(nameOf(name), 'no answer', true), { cause })
    }
  }

  #config(name: string): RegistryConfig {
    const known = this.#options.registries.find((each) => each.name === name)
    return known ?? { name, audience: 'registry' }
  }
}

interface Access {
  readonly type: string
  readonly name: string
  readonly actions: readonly string[]
}

function accessOf(token: string): readonly Access[] {
  const { access } = decodeJwt(token)
  if (!Array.isArray(access)) return []
  return access.map((each): Access => {
    const { type, name, actions } = Object(each)
    const list = Array.isArray(actions) ? actions.map(String) : []
    return { type: String(type), name: String(name), actions: list }
  })
}

/** A registry that gives more than was asked for is not trusted with a caller. */
function assertNoWider(given: readonly Access[], { repositories }: RegistryTarget): void {
  for (const { type, name, actions } of given) {
    const asked = repositories.find((each) => each.name === name)?.actions ?? []
    assert(type === 'repository', 'the token is for repositories')
    assert(
      actions.every((action) => asked.some((each) => each === action)),
      'the token allows what was asked for',
    )
  }
}

function isWhole(given: readonly Access[], { repositories }: RegistryTarget): boolean {
  return repositories.every(({ name, actions }) => {
    const found = given.find((each) => each.name === name)?.actions ?? []
    return actions.every((action) => found.includes(action))
  })
}

function expiryOf(token: string, registry: string): number {
  const { exp } = decodeJwt(token)
  if (exp === undefined) throw unavailable(nameOf(registry), 'a token without an end', false)
  return exp * 1000
}

function question(registry: string, role: string): AzureQuestion {
  const name = registry.split('.')[0] ?? ''
  const scope = `$(az acr show --name ${name} --query id --output tsv)`
  return { who: nameOf(registry), role, scope }
}

function nameOf(registry: string): string {
  return `the registry ${registry}`
}

function armAudienceRefused(registry: string): ConnectorError {
  return new ConnectorError('access_denied', 'acr_arm_audience_disabled', {
    detail: `${nameOf(registry)} refused a token of the management's audience`,
    hint: "operator: leave out 'audience: management' of the registry, or allow it there: az acr config authentication-as-arm update --status enabled",
  })
}
