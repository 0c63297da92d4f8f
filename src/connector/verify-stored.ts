/**
 * Verifies one registered connector from inside the server: its identity signs in, and each of its
 * resources is tried with credentials made as for a caller who is granted all that it gives.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { BearerCredential, Credential, Scope } from '../credential/credential.ts'
import type { HttpHandler } from '../http/handler.ts'
import { openTransport } from '../http/transport.ts'
import { type CheckName, type CheckResult, Checks, Skipped } from './checks.ts'
import type { ConnectorConfig } from './config.ts'
import { ConnectorError } from './connector-error.ts'
import { blobEndpointOf } from './credential-trial.ts'
import { denied } from './issuance.ts'
import type { IdentityFacts, Issuer } from './issuer.ts'
import type { ConnectorBody } from './model/connector.ts'
import type { StoredRecord } from './model/record.ts'
import { type BlobResource, parseBlobResource, type Resource } from './model/resource.ts'
import { decide, type Grant, type Policy, type PolicyAccount } from './policy.ts'
import { effectivePolicy } from './registry/effective-policy.ts'
import { decideToken } from './token-policy.ts'
import { tokenTarget } from './token-target.ts'
import { verifyCredential } from './verify.ts'
import { type TokenVerification, verifyCluster, verifyRegistry } from './verify-tokens.ts'

/** What verifications of registered connectors work with. */
export interface StoredVerifierOptions {
  readonly config: Pick<ConnectorConfig, 'accounts' | 'cloud' | 'registries'>
  readonly issuer: Issuer
  readonly clock: Clock
}

/** What is tried of a connector, where it gives more than can be tried at once. */
export interface VerifyChoice {
  /** The id of one resource; the first {@link maxResources} when absent. */
  readonly resource?: string | undefined
  /** A container, where a resource is a whole account. */
  readonly container?: string | undefined
  /** A repository, where a resource names none. */
  readonly repository?: string | undefined
  /** Writes, reads and deletes one small blob where the resource allows it. */
  readonly write: boolean
}

/** What was found. It holds no credential. */
export interface StoredReport {
  /** No check failed. */
  readonly passed: boolean
  readonly identity: IdentityFacts & { readonly source: string }
  readonly checks: readonly (CheckResult & { readonly resource?: string })[]
  /** How many resources were not looked at. */
  readonly uncheckedResources: number
}

type ConnectorRecord = StoredRecord<ConnectorBody>

const maxResources = 8
const limitMs = 20_000
/** Nobody else has this name: those of callers are shorter. */
const verifier = { name: 'connector-verification' }
/** Why no key for signatures came, rather than no signature. */
const ofKeys = new Set([
  'clock_skew',
  'delegator_missing',
  'identity_refused',
  'identity_unavailable',
  'network_denied',
  'storage_unavailable',
])

/** Never rejects for what a connector lacks; `accounts` are those that the registry knows. */
export async function verifyStored(
  record: ConnectorRecord,
  accounts: readonly PolicyAccount[],
  choice: VerifyChoice,
  options: StoredVerifierOptions,
): Promise<StoredReport> {
  const { body } = record
  const named = body.resources.filter(
    ({ id }) => choice.resource === undefined || id === choice.resource,
  )
  const run = new StoredVerification(record, accounts, choice, options)
  const checks: StoredReport['checks'][number][] = []
  checks.push(...(await run.begin(named)))
  for (const resource of named.slice(0, maxResources)) {
    const found = await run.tries(resource)
    checks.push(...found.map((each) => ({ ...each, resource: resource.id })))
  }
  return {
    passed: !checks.some(({ status }) => status === 'failed'),
    identity: { ...run.identity, source: body.auth.method },
    checks,
    uncheckedResources: body.resources.length - Math.min(named.length, maxResources),
  }
}

class StoredVerification {
  identity: IdentityFacts = {}
  #signedIn = false
  readonly #record: ConnectorRecord
  readonly #choice: VerifyChoice
  readonly #options: StoredVerifierOptions
  readonly #policy: Policy
  readonly #auditId = randomUUID()
  readonly #nonce = randomBytes(6).toString('hex')

  constructor(
    record: ConnectorRecord,
    accounts: readonly PolicyAccount[],
    choice: VerifyChoice,
    options: StoredVerifierOptions,
  ) {
    this.#record = record
    this.#choice = choice
    this.#options = options
    const { name: connector } = record.body
    const all = { name: verifier.name, caller: verifier.name, connector }
    const policy = effectivePolicy([record], [all])
    this.#policy = { ...policy, accounts: [...accounts, ...policy.accounts] }
  }

  async begin(named: readonly Resource[]): Promise<readonly CheckResult[]> {
    const checks = this.#checks()
    await checks.run('config-well-formed', async () => this.#isWellFormed(named))
    await checks.run('identity-acquired', () => this.#signIn())
    return checks.results
  }

  tries(resource: Resource): Promise<readonly CheckResult[]> {
    switch (resource.type) {
      case 'blob-container':
        return this.#triesStorage(resource)
      case 'docker-registry':
        return this.#triesRegistry(resource.id, resource.repositories)
      case 'kubernetes-cluster':
        return this.#triesCluster(resource.id)
      case 'azure-generic':
        return this.#triesAudience(resource.id)
      default:
        return resource satisfies never
    }
  }

  #isWellFormed(named: readonly Resource[]): void {
    if (named.length === 0) throw new Error('the connector has no such resource')
    const { rules, tokens = [] } = this.#policy
    if (rules.length + tokens.length === 0) throw new Error('its resources grant nothing')
  }

  async #signIn(): Promise<void> {
    const { issuer } = this.#options
    const { auth } = this.#record.body
    const stored = auth.method === 'access-token' ? auth.audience : undefined
    const resource = stored ?? 'https://storage.azure.com'
    const facts = await issuer.identityOf?.(this.#record.id, resource)
    if (facts === undefined) throw new Skipped('the issuer has no identity to sign in with')
    this.identity = facts
    this.#signedIn = true
  }

  async #triesStorage(resource: BlobResource): Promise<readonly CheckResult[]> {
    const place = parseBlobResource(resource.id)
    const container = place?.container === '*' ? this.#choice.container : place?.container
    if (place === undefined || container === undefined) {
      return this.#skipped('credential-issued', 'it is a whole account: name a container')
    }
    const scope = this.#scope(resource, { ...place, container })
    const { credential, results } = await this.#obtains(scope)
    return [...results, ...(await verifyCredential(await this.#probe(scope), credential))]
  }

  /** Two checks of one request: whether there is a key to sign with, and what was made with it. */
  async #obtains(
    scope: Scope,
  ): Promise<{ credential: Credential | undefined; results: readonly CheckResult[] }> {
    const checks = this.#checks()
    const grant = this.#granted(scope)
    let credential: Credential | undefined
    let failure: unknown
    await checks.run('udk-issued', async () => {
      this.#needsIdentity()
      try {
        credential = await this.#issued(grant)
      } catch (error) {
        failure = error
      }
      if (grant instanceof Error || grant.kind === 'bearer') throw new Skipped('nothing is signed')
      if (isOfKeys(failure)) throw failure
    })
    await checks.run('credential-issued', async () => {
      if (failure !== undefined && !isOfKeys(failure)) throw failure
      if (credential === undefined) throw new Skipped('there is nothing to make it with')
    })
    return { credential, results: checks.results }
  }

  #scope(
    { permissions }: BlobResource,
    place: Omit<Scope, 'permissions' | 'service'> & { readonly container: string },
  ): Scope & { container: string } {
    const wanted = permissions.filter(
      (each) => this.#choice.write || each === 'list' || each === 'read',
    )
    return { ...place, service: 'blob', permissions: wanted.length === 0 ? permissions : wanted }
  }

  #granted(scope: Scope): Grant | ConnectorError {
    const outcome = decide(this.#policy, verifier, { scope, kind: undefined })
    return outcome.decision === 'grant' ? outcome : denied(outcome)
  }

  /** A key from before would say nothing of the roles that the identity has now. */
  async #issued(grant: Grant | ConnectorError): Promise<Credential> {
    if (grant instanceof Error) throw grant
    const options = { auditId: this.#auditId, refresh: true }
    return (await this.#options.issuer.issue(grant, options)).credential
  }

  async #probe(
    scope: Scope & { container: string },
  ): Promise<Parameters<typeof verifyCredential>[0]> {
    const { config, clock } = this.#options
    const blobEndpoint = blobEndpointOf(config, scope.account)
    const http = await this.#http()
    const accountCredential = await this.#ownToken(scope)
    return { scope, blobEndpoint, http, clock, nonce: this.#nonce, limitMs, accountCredential }
  }

  /** The identity's own: it is asked with here, and leaves the server for Azure alone. */
  async #ownToken(scope: Scope): Promise<Credential | undefined> {
    if (!this.#signedIn) return undefined
    const own = {
      decision: 'grant',
      scope,
      kind: 'bearer',
      maxTtlMs: Number.POSITIVE_INFINITY,
      enforceBearerTtl: false,
      connector: this.#record.id,
    } as const
    try {
      const { credential } = await this.#options.issuer.issue(own, { auditId: this.#auditId })
      return credential
    } catch {
      // The checks that went before say why it cannot sign in.
      return undefined
    }
  }

  async #triesRegistry(
    registry: string,
    names: readonly string[],
  ): Promise<readonly CheckResult[]> {
    const plain = names.find((name) => !name.endsWith('*'))
    const repository = this.#choice.repository ?? plain
    if (repository === undefined) {
      return this.#skipped('acr-exchange', 'it names no single repository: name one')
    }
    const { endpoint } = this.#options.config.registries.find(({ name }) => name === registry) ?? {}
    const url = endpoint ?? new URL(`https://${registry}`)
    return verifyRegistry({ registry, repository, url }, await this.#tokens())
  }

  async #triesCluster(cluster: string): Promise<readonly CheckResult[]> {
    const opened: (() => Promise<void>)[] = []
    const find = async (): Promise<{ server: string; http: HttpHandler }> => {
      const lookups = await this.#options.issuer.lookupsFor?.(this.#record.id)
      if (lookups?.clusters === undefined) {
        throw new Skipped('the configuration names no management to find it with')
      }
      const { server, certificateAuthorityPem: ca } = await lookups.clusters.get(cluster)
      const own = await openTransport('socket', { ca, headersTimeoutMs: 8000 })
      opened.push(own.close)
      return { server, http: own.handle }
    }
    try {
      return await verifyCluster({ cluster, find }, await this.#tokens())
    } finally {
      await Promise.all(opened.map((close) => close()))
    }
  }

  async #triesAudience(audience: string): Promise<readonly CheckResult[]> {
    const checks = this.#checks()
    const { exchange } = await this.#tokens()
    const scope = `${audience}/.default`
    await checks.run('credential-issued', async () => void (await exchange({ scope })))
    return checks.results
  }

  async #tokens(): Promise<TokenVerification> {
    const { issuer, clock } = this.#options
    const exchange: TokenVerification['exchange'] = async ({ audience, scope }) => {
      this.#needsIdentity()
      const target = tokenTarget(audience, scope)
      const outcome = decideToken(this.#policy.tokens ?? [], verifier, target)
      if (outcome.decision === 'denial') throw denied(outcome)
      return this.#given(await issuer.issueToken?.(outcome, { auditId: this.#auditId }))
    }
    return { exchange, http: await this.#http(), clock, nonce: this.#nonce, limitMs }
  }

  #given(issued: { readonly credential: BearerCredential } | undefined): BearerCredential {
    if (issued === undefined) throw new Skipped('the issuer gives storage credentials alone')
    return issued.credential
  }

  /** Fails like every request without a network when the identity cannot be opened. */
  async #http(): Promise<HttpHandler> {
    const found = this.#options.issuer.lookupsFor?.(this.#record.id)
    const lookups = await found?.catch(() => undefined)
    if (lookups !== undefined) return lookups.http
    return () => Promise.reject(new Skipped('there is no connection to Azure to try it with'))
  }

  #needsIdentity(): void {
    if (!this.#signedIn) throw new Skipped('the identity did not sign in')
  }

  async #skipped(name: CheckName, reason: string): Promise<readonly CheckResult[]> {
    const checks = this.#checks()
    await checks.run(name, async () => {
      throw new Skipped(reason)
    })
    return checks.results
  }

  #checks(): Checks {
    return new Checks(this.#options.clock, undefined, limitMs)
  }
}

function isOfKeys(error: unknown): boolean {
  return error instanceof ConnectorError && ofKeys.has(error.reason)
}
