import type { Clock } from '../clock.ts'
import type { BearerCredential } from '../credential/credential.ts'
import type { HttpHandler } from '../http/handler.ts'
import { type CheckResult, Checks, expectStatus, Skipped } from './checks.ts'

/** What the verification of tokens beyond storage works with. */
export interface TokenVerification {
  /** Asks the connector. */
  readonly exchange: (target: {
    readonly audience?: string | undefined
    readonly scope?: string | undefined
  }) => Promise<BearerCredential>
  readonly http: HttpHandler
  readonly clock: Clock
  /** Makes the names of what is looked for unlike all others. */
  readonly nonce: string
  readonly signal?: AbortSignal | undefined
  /** How long one check may take, milliseconds; as long as its requests when absent. */
  readonly limitMs?: number | undefined
}

/** One repository of a registry. */
export interface RegistryPlace {
  /** The connector's name of the registry: `NAME.azurecr.io`. */
  readonly registry: string
  readonly repository: string
  /** Where it is reached: `https://NAME.azurecr.io`. */
  readonly url: URL
}

/**
 * Asks for a token to pull from one repository, uses it, and tries it on a repository whose name
 * begins alike and on the catalog of the registry, which must be refused. Never rejects but when
 * aborted.
 */
export async function verifyRegistry(
  { registry, repository, url }: RegistryPlace,
  { exchange, http, clock, nonce, signal, limitMs }: TokenVerification,
): Promise<readonly CheckResult[]> {
  const checks = new Checks(clock, signal, limitMs)
  const scope = `repository:${repository}:pull`
  let credential: BearerCredential | undefined
  await checks.run('acr-exchange', async () => {
    credential = await exchange({ audience: registry, scope })
  })
  const get = async (path: string): Promise<number> => {
    if (credential === undefined) throw new Skipped('no token was issued')
    const headers = { authorization: `Bearer ${credential.token}` }
    const operation = 'connector.verify'
    return (await http({ method: 'GET', url: new URL(path, url), headers, operation, signal }))
      .status
  }
  await checks.run('acr-pull', async () =>
    expectStatus('the tags', await get(`/v2/${repository}/tags/list`), [200, 404]),
  )
  await checks.run('scope-enforced-parent', async () =>
    expectStatus('the catalog', await get('/v2/_catalog'), [401, 403]),
  )
  await checks.run('scope-enforced-sibling', async () =>
    expectStatus(
      'another repository',
      await get(`/v2/${repository}-${nonce}/tags/list`),
      [401, 403],
    ),
  )
  return checks.results
}

/** One cluster, and how its API server is asked. */
export interface ClusterProbe {
  /** `GROUP/NAME`. */
  readonly cluster: string
  /** Finds the API server; rejects when the connector does not know it. */
  readonly find: () => Promise<{ readonly server: string; readonly http: HttpHandler }>
}

/** Asks for a token and for the API server, and asks that one for its version. Rejects as above. */
export async function verifyCluster(
  { cluster, find }: ClusterProbe,
  { exchange, clock, signal, limitMs }: TokenVerification,
): Promise<readonly CheckResult[]> {
  const checks = new Checks(clock, signal, limitMs)
  let credential: BearerCredential | undefined
  await checks.run('aks-token', async () => {
    credential = await exchange({ audience: cluster })
  })
  await checks.run('aks-reachable', async () => {
    if (credential === undefined) throw new Skipped('no token was issued')
    const { server, http } = await find()
    const headers = { authorization: `Bearer ${credential.token}` }
    const url = new URL('/version', server)
    const operation = 'connector.verify'
    const { status } = await http({ method: 'GET', url, headers, operation, signal })
    expectStatus('the API server', status, [200, 403])
  })
  return checks.results
}
