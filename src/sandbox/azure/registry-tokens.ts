import { randomUUID } from 'node:crypto'
import { jwtVerify } from 'jose'
import type { Tenant } from '../tenant.ts'
import { createJwtSigner, type JwtSigner } from '../token-issuer.ts'
import { armAudiences } from './arm.ts'
import type { AzureAssignments } from './assignments.ts'
import { BearerRefusal, verifyToken } from './bearer-guard.ts'
import { RegistryError, unauthorized } from './registry-error.ts'

/** What somebody may do with one thing of a registry. */
export interface RegistryAccess {
  readonly type: string
  readonly name: string
  readonly actions: readonly string[]
}

/** What a registry's tokens depend on. */
export interface RegistryTokenOptions {
  readonly tenant: Tenant
  readonly assignments: AzureAssignments
  /** The login server: `NAME.azurecr.io`. */
  readonly service: string
  /** The resource id, where roles hold. */
  readonly id: string
  readonly armAudience: boolean
}

/** The user of tokens in basic authentication. */
export const tokenUser = '00000000-0000-0000-0000-000000000000'

const registryAudiences = [
  'https://containerregistry.azure.net',
  'https://containerregistry.azure.net/',
]
const issuer = 'Azure Container Registry'
const refreshLifeSeconds = 3 * 3600
const accessLifeSeconds = 75 * 60
const pull = 'Microsoft.ContainerRegistry/registries/pull/read'
const push = 'Microsoft.ContainerRegistry/registries/push/write'

/** The tokens of one registry: Entra's for a refresh token, that one for an access token. */
export class RegistryTokens {
  readonly #options: RegistryTokenOptions
  readonly #signer: JwtSigner

  private constructor(options: RegistryTokenOptions, signer: JwtSigner) {
    this.#options = options
    this.#signer = signer
  }

  static async create(options: RegistryTokenOptions): Promise<RegistryTokens> {
    return new RegistryTokens(options, await createJwtSigner())
  }

  /** `POST /oauth2/exchange`. */
  async exchange(form: URLSearchParams): Promise<string> {
    const { tenant, service } = this.#options
    if (form.get('grant_type') !== 'access_token') throw badRequest('grant_type')
    if (form.get('service') !== service) throw badRequest('service')
    const asked = form.get('tenant')
    if (asked !== null && asked !== tenant.tenantId && asked !== 'adfs') throw unauthorized()
    const objectId = await this.#holderOf(form.get('access_token') ?? '')
    if (this.#rolesOf(objectId).length === 0) throw unauthorized()
    return this.#sign(objectId, refreshLifeSeconds, {
      grant_type: 'refresh_token',
      tenant: tenant.tenantId,
      permissions: { actions: this.#rolesOf(objectId), notActions: [] },
    })
  }

  /** `POST /oauth2/token`. */
  async accessOfForm(form: URLSearchParams): Promise<string> {
    if (form.get('service') !== this.#options.service) throw badRequest('service')
    const grant = form.get('grant_type')
    const secret = form.get(grant === 'password' ? 'password' : 'refresh_token') ?? ''
    if (grant === 'password' && form.get('username') !== tokenUser) throw unauthorized()
    if (grant !== 'refresh_token' && grant !== 'password') throw badRequest('grant_type')
    return this.#access(secret, form.getAll('scope'))
  }

  /** `GET /oauth2/token` with basic authentication, as Docker's clients ask. */
  async accessOfBasic(authorization: string | undefined, query: URLSearchParams): Promise<string> {
    const encoded = /^Basic ([\w+/]+=*)$/i.exec(authorization ?? '')?.[1] ?? ''
    const [user, ...password] = Buffer.from(encoded, 'base64').toString('utf8').split(':')
    if (user !== tokenUser) throw unauthorized()
    return this.#access(password.join(':'), query.getAll('scope'))
  }

  /** What an access token allows; throws 401 for any other token. */
  async allowed(authorization: string | undefined): Promise<readonly RegistryAccess[]> {
    const token = /^Bearer ([\w.-]+)$/i.exec(authorization ?? '')?.[1]
    if (token === undefined) throw unauthorized()
    const { payload } = await this.#verify(token)
    if (payload['grant_type'] !== 'access_token') throw unauthorized()
    return accessOf(payload['access'])
  }

  async #holderOf(token: string): Promise<string> {
    const { tenant, armAudience } = this.#options
    const audiences = armAudience ? [...registryAudiences, ...armAudiences] : registryAudiences
    try {
      return (await verifyToken(token, audiences, tenant)).objectId
    } catch (error) {
      if (error instanceof BearerRefusal) throw unauthorized()
      throw error
    }
  }

  /** From a refresh token what roles allow; from an access token no more than it has. */
  async #access(secret: string, scopes: readonly string[]): Promise<string> {
    const { payload } = await this.#verify(secret)
    const objectId = String(payload.sub)
    const held = payload['grant_type'] === 'access_token' ? accessOf(payload['access']) : undefined
    const asked = scopes.flatMap((scope) => scope.split(' ')).filter((scope) => scope !== '')
    const granted = asked
      .map(parseScope)
      .map((each) => this.#limit(each, this.#rolesOf(objectId), held))
      .filter(({ actions }) => actions.length > 0)
    if (asked.length > 0 && granted.length === 0) {
      throw new RegistryError(403, 'DENIED', 'requested access to the resource is denied')
    }
    return this.#sign(objectId, accessLifeSeconds, { grant_type: 'access_token', access: granted })
  }

  #limit(
    asked: RegistryAccess,
    roles: readonly string[],
    held: readonly RegistryAccess[] | undefined,
  ): RegistryAccess {
    const byRoles = asked.actions.filter((action) => isAllowed(asked.type, action, roles))
    const actions = byRoles.filter((action) => held === undefined || includes(held, asked, action))
    return { ...asked, actions }
  }

  #rolesOf(objectId: string): readonly string[] {
    const { assignments, id } = this.#options
    const may = (action: string): boolean => assignments.allows(objectId, action, id)
    return [...(may(pull) ? ['pull'] : []), ...(may(push) ? ['push'] : [])]
  }

  async #verify(token: string) {
    const { service, tenant } = this.#options
    try {
      return await jwtVerify(token, this.#signer.publicKey, {
        issuer,
        audience: service,
        currentDate: new Date(tenant.clock.nowMs()),
      })
    } catch (cause) {
      // Whatever is wrong with it, the registry says no more than this.
      throw Object.assign(unauthorized(), { cause })
    }
  }

  #sign(objectId: string, lifeSeconds: number, claims: object): Promise<string> {
    const { service, tenant } = this.#options
    const now = Math.floor(tenant.clock.nowMs() / 1000)
    const times = { iat: now, nbf: now, exp: now + lifeSeconds }
    return this.#signer.sign({
      jti: randomUUID(),
      sub: objectId,
      ...times,
      iss: issuer,
      aud: service,
      version: '1.0',
      ...claims,
      roles: [],
    })
  }
}

/** Whether `access` has the action on the thing. */
export function includes(
  access: readonly RegistryAccess[],
  thing: Pick<RegistryAccess, 'type' | 'name'>,
  action: string,
): boolean {
  return access.some(
    ({ type, name, actions }) =>
      type === thing.type && name === thing.name && actions.includes(action),
  )
}

function isAllowed(type: string, action: string, roles: readonly string[]): boolean {
  if (type === 'registry') return action === '*' && roles.includes('pull')
  return type === 'repository' && roles.includes(action)
}

function parseScope(scope: string): RegistryAccess {
  const [type = '', name = '', actions = ''] = scope.split(':')
  return { type, name, actions: actions.split(',').filter((action) => action !== '') }
}

function accessOf(claim: unknown): readonly RegistryAccess[] {
  return Array.isArray(claim) ? claim : []
}

function badRequest(field: string): RegistryError {
  return new RegistryError(400, 'UNSUPPORTED', `the field ${field} is not what was expected`)
}
