import type { Clock } from '../clock.ts'
import type { Credential, CredentialProvider, Scope } from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpHandler } from '../http/handler.ts'
import { segmentsOf } from './canonical-scope.ts'

/** What one check found. */
export interface CheckResult {
  readonly name: CheckName
  readonly status: 'passed' | 'failed' | 'skipped'
  readonly durationMs: number
  /** Why it failed or was skipped. No credential. */
  readonly reason?: string | undefined
}

export type CheckName =
  | 'identity-acquired'
  | 'policy-allows'
  | 'credential-issued'
  | 'list-root'
  | 'read-write'
  | 'scope-enforced-parent'
  | 'scope-enforced-sibling'

/** What a verification works with. */
export interface VerifyOptions {
  /** The connector's URL, before `/v1`. */
  readonly connector: URL
  /** Asks that connector, without a cache. */
  readonly provider: CredentialProvider
  /** The blob endpoint of the scope's account. */
  readonly blobEndpoint: URL
  /** What is asked for: a container or a prefix in it, with `read` and `list` at least. */
  readonly scope: Scope & { readonly container: string }
  readonly http: HttpHandler
  readonly clock: Clock
  /** Makes the names of what is written and looked for unlike all others. */
  readonly nonce: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Asks a connector for what a client would ask for, uses what comes, and tries to use it on the
 * parent and on a sibling whose name begins alike, which must be refused. With `write` among the
 * permissions one small blob is written, read and deleted. Never rejects but when aborted.
 */
export async function verifyConnector(options: VerifyOptions): Promise<readonly CheckResult[]> {
  const run = new Verification(options)
  await run.check('identity-acquired', () => run.signIn())
  const credential = await run.obtain()
  await run.use('list-root', credential, (query) => run.lists(query))
  await run.use('read-write', credential, (query) => run.writes(query))
  await run.use('scope-enforced-parent', credential, (query) => run.refused(query, run.parent()))
  await run.use('scope-enforced-sibling', credential, (query) => run.refused(query, run.sibling()))
  return run.results
}

/** Why a check has nothing to look at. */
class Skipped extends Error {}

/** Where a credential must not work: a list and a blob. */
interface Outside {
  readonly list: string
  readonly blob: string
}

type Sent = (method: 'GET' | 'PUT' | 'DELETE', target: string) => Promise<number>

class Verification {
  readonly results: CheckResult[] = []
  readonly #options: VerifyOptions

  constructor(options: VerifyOptions) {
    this.#options = options
  }

  async check(name: CheckName, look: () => Promise<void>): Promise<void> {
    const { clock, signal } = this.#options
    const beganAtMs = clock.nowMs()
    const end = (status: CheckResult['status'], reason?: string): void => {
      this.results.push({ name, status, durationMs: clock.nowMs() - beganAtMs, reason })
    }
    try {
      await look()
      end('passed')
    } catch (error) {
      signal?.throwIfAborted()
      end(error instanceof Skipped ? 'skipped' : 'failed', reasonOf(error))
    }
  }

  async signIn(): Promise<void> {
    const url = new URL(this.#options.connector)
    url.pathname = `${url.pathname.replace(/\/$/, '')}/readyz`
    const { http, signal } = this.#options
    const operation = 'connector.verify'
    const { status } = await http({ method: 'GET', url, headers: {}, operation, signal })
    if (status === 404) throw new Skipped('the connector is of a version without /readyz')
    if (status !== 200) {
      throw new Error(`the connector's identity cannot sign in (HTTP ${status}): see its log`)
    }
  }

  /** Two checks of one request: what policy says, and whether a credential comes of it. */
  async obtain(): Promise<Credential | undefined> {
    const { provider, scope, signal } = this.#options
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
    const { container, prefix } = this.#options.scope
    expect('a list', await send('GET', listOf(container, prefix)), [200])
  }

  async writes(send: Sent): Promise<void> {
    const { scope, nonce } = this.#options
    if (!scope.permissions.includes('write')) throw new Skipped('write was not asked for')
    const target = blobOf(scope.container, [...segmentsOf(scope.prefix), probe(nonce)])
    expect('writing a blob', await send('PUT', target), [201])
    expect('reading it', await send('GET', target), [200])
    if (!scope.permissions.includes('delete')) return
    expect('deleting it', await send('DELETE', target), [200, 202])
  }

  /** Refused is 401 or 403: that something is not there would say that one may look. */
  async refused(send: Sent, { list, blob }: Outside): Promise<void> {
    expect('a list beyond the scope', await send('GET', list), [401, 403])
    expect('a blob beyond the scope', await send('GET', blob), [401, 403])
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
    const { status } = await http({ method, url, headers, body, operation, path, signal })
    return status
  }
}

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

function expect(what: string, status: number, wanted: readonly number[]): void {
  if (wanted.includes(status)) return
  throw new Error(`${what}: HTTP ${status}, expected ${wanted.join(' or ')}`)
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

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
