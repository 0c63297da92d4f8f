import type { Clock } from '../clock.ts'
import type { Credential, CredentialProvider, Scope } from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpHandler, HttpResponse } from '../http/handler.ts'
import { segmentsOf } from './canonical-scope.ts'
import { type CheckName, type CheckResult, Checks, expectStatus, Skipped } from './checks.ts'

/** What a verification works with. */
export interface VerifyOptions extends ProbeOptions {
  /** The connector's URL, before `/v1`. */
  readonly connector: URL
  /** Asks that connector, without a cache. */
  readonly provider: CredentialProvider
}

/** What a credential is tried on. */
export interface ProbeOptions {
  /** The blob endpoint of the scope's account. */
  readonly blobEndpoint: URL
  /** What is asked for: a container or a prefix in it, with `read` and `list` at least. */
  readonly scope: Scope & { readonly container: string }
  readonly http: HttpHandler
  readonly clock: Clock
  /** Makes the names of what is written and looked for unlike all others. */
  readonly nonce: string
  readonly signal?: AbortSignal | undefined
  /** Asks the account of which kind it is, where the credential itself may not. */
  readonly accountCredential?: Credential | undefined
  /** How long one check may take, milliseconds; as long as its requests when absent. */
  readonly limitMs?: number | undefined
}

/**
 * Asks a connector for what a client would ask for, uses what comes, and tries to use it on the
 * parent and on a sibling whose name begins alike, which must be refused. With `write` among the
 * permissions one small blob is written, read and deleted. Never rejects but when aborted.
 */
export async function verifyConnector(options: VerifyOptions): Promise<readonly CheckResult[]> {
  const run = new Verification(options)
  await run.check('identity-acquired', () => run.signIn(options.connector))
  await tryCredential(run, await run.obtain(options.provider))
  return run.results
}

/** Tries a credential as {@link verifyConnector} does, beside the connector that made it. */
export async function verifyCredential(
  options: ProbeOptions,
  credential: Credential | undefined,
): Promise<readonly CheckResult[]> {
  const run = new Verification(options)
  run.isOwnClock()
  await tryCredential(run, credential)
  return run.results
}

async function tryCredential(run: Verification, credential: Credential | undefined): Promise<void> {
  await run.use('hns-detected', credential, () => run.detectsKind(credential))
  await run.use('list-root', credential, (query) => run.lists(query))
  await run.use('read-write', credential, (query) => run.writes(query))
  await run.use('cleanup', credential, (query) => run.removes(query))
  await run.use('scope-enforced-parent', credential, (query) => run.refused(query, run.parent()))
  await run.use('scope-enforced-sibling', credential, (query) => run.refused(query, run.sibling()))
  await run.check('clock-skew', async () => run.compareClocks())
}

/** Where a credential must not work: a list and a blob. */
interface Outside {
  readonly list: string
  readonly blob: string
}

type Sent = (method: 'GET' | 'PUT' | 'DELETE', target: string) => Promise<number>

class Verification {
  readonly #options: ProbeOptions
  readonly #checks: Checks
  #connectorAheadMs: number | undefined
  #azureAheadMs: number | undefined
  #written: string | undefined

  constructor(options: ProbeOptions) {
    this.#options = options
    this.#checks = new Checks(options.clock, options.signal, options.limitMs)
  }

  check(name: CheckName, look: () => Promise<void>): Promise<void> {
    return this.#checks.run(name, look)
  }

  get results(): readonly CheckResult[] {
    return this.#checks.results
  }

  /** The connector is this process. */
  isOwnClock(): void {
    this.#connectorAheadMs = 0
  }

  async signIn(connector: URL): Promise<void> {
    const url = new URL(connector)
    url.pathname = `${url.pathname.replace(/\/$/, '')}/readyz`
    const { http, signal } = this.#options
    const operation = 'connector.verify'
    const { status, headers } = await http({ method: 'GET', url, headers: {}, operation, signal })
    this.#connectorAheadMs = this.#aheadMs(headers['date'])
    if (status === 404) throw new Skipped('the connector is of a version without /readyz')
    if (status !== 200) {
      throw new Error(`the connector's identity cannot sign in (HTTP ${status}): see its log`)
    }
  }

  /** Two checks of one request: what policy says, and whether a credential comes of it. */
  async obtain(provider: CredentialProvider): Promise<Credential | undefined> {
    const { scope, signal } = this.#options
    let credential: Credential | undefined
    let failure: unknown
    await this.check('policy-allows', async () => {
      try {
        credential = await provider.getCredential(scope, { signal })
      } catch (error) {
        if (isOfPolicy(error)) throw error
        failure = error
      }
    })
    await this.check('credential-issued', async () => {
      if (failure !== undefined) throw failure
      if (credential === undefined) throw new Skipped('the policy does not allow it')
    })
    return credential
  }

  async use(
    name: CheckName,
    credential: Credential | undefined,
    look: (send: Sent) => Promise<void>,
  ): Promise<void> {
    await this.check(name, async () => {
      if (credential === undefined) throw new Skipped('no credential was issued')
      if (name.startsWith('scope-enforced') && credential.kind === 'bearer') {
        throw new Skipped('a bearer reaches all that the identity may do')
      }
      await look((method, target) => this.#send(credential, method, target))
    })
  }

  async lists(send: Sent): Promise<void> {
    const { container, prefix, permissions } = this.#options.scope
    if (!permissions.includes('list')) throw new Skipped('list was not asked for')
    expectStatus('a list', await send('GET', listOf(container, prefix)), [200])
  }

  async writes(send: Sent): Promise<void> {
    const { scope, nonce } = this.#options
    if (!scope.permissions.includes('write')) throw new Skipped('write was not asked for')
    const target = blobOf(scope.container, [...segmentsOf(scope.prefix), probe(nonce)])
    expectStatus('writing a blob', await send('PUT', target), [201])
    this.#written = target
    expectStatus('reading it', await send('GET', target), [200])
  }

  async removes(send: Sent): Promise<void> {
    if (this.#written === undefined) throw new Skipped('nothing was written')
    if (!this.#options.scope.permissions.includes('delete')) {
      throw new Skipped(`delete was not asked for: ${this.#written} stays`)
    }
    expectStatus('deleting the blob', await send('DELETE', this.#written), [200, 202])
  }

  /** A prefix can be enforced on a hierarchical account alone. */
  async detectsKind(credential: Credential | undefined): Promise<void> {
    if (credential === undefined) throw new Skipped('no credential was issued')
    const { accountCredential = credential, scope } = this.#options
    const { container, prefix } = scope
    const target = `${container}?restype=account&comp=properties`
    const { status, headers } = await this.#request(accountCredential, 'GET', target)
    const kind = headers['x-ms-is-hns-enabled']
    if (kind === undefined) throw new Skipped(`the account does not say (HTTP ${status})`)
    if (prefix !== undefined && kind !== 'true') {
      throw new Error('the account is flat, so nothing enforces the prefix')
    }
  }

  /** A signature counts from a minute before the connector's time. */
  compareClocks(): void {
    const [connector, azure] = [this.#connectorAheadMs, this.#azureAheadMs]
    if (connector === undefined || azure === undefined) {
      throw new Skipped('not both of them told the time')
    }
    const seconds = Math.round((connector - azure) / 1000)
    if (Math.abs(seconds) < maxSkewSeconds) return
    const direction = seconds > 0 ? 'ahead of' : 'behind'
    throw new Error(`the connector is ${Math.abs(seconds)} s ${direction} Azure: set its clock`)
  }

  /** Refused is 401 or 403: that something is not there would say that one may look. */
  async refused(send: Sent, { list, blob }: Outside): Promise<void> {
    expectStatus('a list beyond the scope', await send('GET', list), [401, 403])
    expectStatus('a blob beyond the scope', await send('GET', blob), [401, 403])
  }

  parent(): Outside {
    const { scope, nonce } = this.#options
    const above = segmentsOf(scope.prefix).slice(0, -1)
    if (scope.prefix === undefined) {
      return { list: '?comp=list&maxresults=1', blob: blobOf('$root', [probe(nonce)]) }
    }
    return {
      list: listOf(scope.container, above.join('/')),
      blob: blobOf(scope.container, [...above, probe(nonce)]),
    }
  }

  sibling(): Outside {
    const { scope, nonce } = this.#options
    if (scope.prefix === undefined) {
      const container = `${scope.container.replace('$', '').slice(0, 50)}-verify`
      return { list: listOf(container, ''), blob: blobOf(container, [probe(nonce)]) }
    }
    const beside = `${scope.prefix}-${nonce}`
    return {
      list: listOf(scope.container, beside),
      blob: blobOf(scope.container, [...segmentsOf(beside), probe(nonce)]),
    }
  }

  async #send(
    credential: Credential,
    method: 'GET' | 'PUT' | 'DELETE',
    target: string,
  ): Promise<number> {
    return (await this.#request(credential, method, target)).status
  }

  #aheadMs(date: string | undefined): number | undefined {
    const timeMs = Date.parse(date ?? '')
    return Number.isNaN(timeMs) ? undefined : timeMs - this.#options.clock.nowMs()
  }

  async #request(
    credential: Credential,
    method: 'GET' | 'PUT' | 'DELETE',
    target: string,
  ): Promise<HttpResponse> {
    const { blobEndpoint, http, signal } = this.#options
    const base = `${blobEndpoint.href.replace(/\/$/, '')}/${target}`
    const query =
      credential.kind === 'sas' ? `${base.includes('?') ? '&' : '?'}${credential.query}` : ''
    const headers = {
      'x-ms-version': '2023-11-03',
      ...(credential.kind === 'bearer' ? { authorization: `Bearer ${credential.token}` } : {}),
      ...(method === 'PUT' ? { 'x-ms-blob-type': 'BlockBlob' } : {}),
    }
    const body = method === 'PUT' ? Buffer.from('abfs') : undefined
    const operation = 'connector.verify'
    const url = new URL(`${base}${query}`)
    const path = base.split('?')[0]
    const response = await http({ method, url, headers, body, operation, path, signal })
    this.#azureAheadMs ??= this.#aheadMs(response.headers['date'])
    return response
  }
}

/** A minute: what a signature is dated back. */
const maxSkewSeconds = 60

const ofPolicy = new Set([
  'caller_unknown',
  'credential_kind_not_granted',
  'path_invalid',
  'path_outside_root',
  'permission_not_granted',
  'scope_unenforceable',
])

function isOfPolicy(error: unknown): boolean {
  return error instanceof FileSystemError && ofPolicy.has(error.serviceCode ?? '')
}

function listOf(container: string, prefix: string | undefined): string {
  const below = prefix === undefined || prefix === '' ? '' : `${prefix}/`
  return `${container}?restype=container&comp=list&maxresults=1&prefix=${encodeURIComponent(below)}`
}

function blobOf(container: string, segments: readonly string[]): string {
  return [container, ...segments].map(encodeURIComponent).join('/')
}

function probe(nonce: string): string {
  return `abfs-verify-${nonce}`
}
