import type { StorageAccount } from '../model/account.ts'
import type { StorageRequest } from '../wire/request.ts'
import type {
  AccessControl,
  AccessTarget,
  BearerCaller,
  Caller,
  Need,
  SasCaller,
} from './access.ts'
import { aclGrants } from './acl-check.ts'
import { checkAnonymous } from './anonymous.ts'
import { BearerVerifier, type TokenRules } from './bearer.ts'
import { DelegationKeys } from './delegation-key.ts'
import { Signer } from './hmac.ts'
import { directoryAsked, isRecursive } from './path-asked.ts'
import { authenticationFailed, authenticationMalformed, permissionMismatch } from './refusal.ts'
import { Revocations } from './revocations.ts'
import { type Principal, Roles } from './roles.ts'
import { verifySas } from './sas.ts'
import { checkSasNeed, isAccountInformation } from './sas-rights.ts'
import { hasSas } from './sas-token.ts'
import { verifySharedKey } from './shared-key.ts'

/** What access is decided with. The caller keeps the parts and may change them while it runs. */
export interface AccessSettings {
  /** Bearer tokens are refused when absent. */
  readonly tokens?: TokenRules | undefined
  /** Nobody has a role when absent. */
  readonly roles?: Roles | undefined
  readonly revocations?: Revocations | undefined
  readonly delegationKeys?: DelegationKeys | undefined
  /**
   * Groups of a principal that no token speaks for: the owner of a delegation key, the subject of a
   * signature. None when absent.
   */
  readonly groupsOf?: ((objectId: string) => readonly string[]) | undefined
}

/** Makes the access control of a server. */
export function createAccessControl(settings: AccessSettings = {}): AccessControl {
  return new StorageAccess(settings)
}

class StorageAccess implements AccessControl {
  readonly #bearer: BearerVerifier | undefined
  readonly #roles: Roles
  readonly #keys: DelegationKeys
  readonly #signer = new Signer()
  readonly #groupsOf: (objectId: string) => readonly string[]

  constructor(settings: AccessSettings) {
    const revocations = settings.revocations ?? new Revocations()
    this.#bearer = settings.tokens && new BearerVerifier(settings.tokens, revocations)
    this.#roles = settings.roles ?? new Roles()
    this.#keys = settings.delegationKeys ?? new DelegationKeys()
    this.#groupsOf = settings.groupsOf ?? (() => [])
  }

  async authenticate(request: StorageRequest, account: StorageAccount): Promise<Caller> {
    if (hasSas(request)) return this.#authenticateSas(request, account)
    const authorization = request.headers['authorization']
    if (authorization === undefined) return { kind: 'anonymous' }
    const scheme = authorization.split(' ', 1)[0]?.toLowerCase()
    if (scheme === 'bearer') return this.#authenticateBearer(request, account)
    if (scheme === 'sharedkey' || scheme === 'sharedkeylite') {
      return verifySharedKey(request, account)
    }
    throw authenticationMalformed('expected the scheme Bearer, SharedKey or SharedKeyLite')
  }

  authorize(caller: Caller, needs: readonly Need[], on: AccessTarget): void {
    if (caller.kind !== 'bearer' && needs.some(({ right }) => right === 'delegationKey')) {
      throw authenticationFailed('Only authentication scheme Bearer is supported')
    }
    if (caller.kind === 'anonymous') checkAnonymous(needs, on, this.#bearer?.challenge)
    if (caller.kind === 'bearer') this.#check(caller, needs, on)
    if (caller.kind === 'sas') this.#authorizeSas(caller, needs, on)
  }

  async #authenticateSas(request: StorageRequest, account: StorageAccount): Promise<SasCaller> {
    const sas = verifySas(request, account, { keys: this.#keys, signer: this.#signer })
    const user = sas.delegatedUserObjectId
    if (user === undefined) {
      if (request.headers['authorization'] === undefined) return { kind: 'sas', sas }
      throw authenticationMalformed('a signature in the query and an Authorization header')
    }
    const bearer = await this.#authenticateBearer(request, account)
    const tenant = request.query.get('skdutid')
    if (bearer.objectId !== user || (tenant !== undefined && tenant !== bearer.tenantId)) {
      throw authenticationFailed('The token is not that of the user whom the signature names')
    }
    return { kind: 'sas', sas }
  }

  async #authenticateBearer(
    request: StorageRequest,
    account: StorageAccount,
  ): Promise<BearerCaller> {
    if (this.#bearer === undefined) {
      throw authenticationFailed('This server was started without an issuer of tokens')
    }
    const { objectId, tenantId, groups } = await this.#bearer.verify(request, account)
    const issue: BearerCaller['delegationKey'] = (period) =>
      this.#keys.issue(account, { objectId, tenantId }, period)
    return { kind: 'bearer', objectId, tenantId, groups, delegationKey: issue }
  }

  #authorizeSas({ sas }: SasCaller, all: readonly Need[], on: AccessTarget): void {
    for (const need of all) checkSasNeed(sas, need, on)
    if (sas.keyObjectId === undefined) return
    const needs = all.filter((need) => !isAccountInformation(need, on))
    this.#check(this.#principal(sas.keyObjectId), needs, on)
    if (sas.agentObjectId === undefined) return
    const agent = this.#principal(sas.agentObjectId)
    if (!needs.every((need) => mayByList(agent, need, on))) throw permissionMismatch()
  }

  #check(principal: Principal, needs: readonly Need[], on: AccessTarget): void {
    const where = { account: on.account.settings.name, listed: directoryAsked(on.request) }
    const may = (need: Need): boolean =>
      this.#roles.grant(principal, need, where) || mayByList(principal, need, on)
    if (!needs.every(may)) throw permissionMismatch()
  }

  #principal(objectId: string): Principal {
    return { objectId, groups: this.#groupsOf(objectId) }
  }
}

function mayByList(principal: Principal, need: Need, { request, account }: AccessTarget): boolean {
  const container = account.container(need.container ?? '')
  if (!account.settings.hierarchical || container === undefined) return false
  const where = { container, listed: directoryAsked(request), deep: isRecursive(request) }
  return aclGrants(principal, need, where)
}
