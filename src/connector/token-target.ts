/**
 * What tokens beyond storage are for, in one spelling. An audience that ends in `azurecr.io` is a
 * container registry, `GROUP/NAME` is a Kubernetes cluster, and a scope alone is anything else.
 */
import { ConnectorError } from './connector-error.ts'

/** Any resource of Entra that the policy lists. */
export interface GenericTarget {
  readonly resource: 'azure-generic'
  /** The scope without its `/.default`. */
  readonly audience: string
}

/** One Kubernetes cluster (AKS). */
export interface ClusterTarget {
  readonly resource: 'kubernetes-cluster'
  /** `group/name` in lower case: Azure compares names without it. */
  readonly cluster: string
}

/** Repositories of one container registry. */
export interface RegistryTarget {
  readonly resource: 'docker-registry'
  /** The registry's host. */
  readonly registry: string
  readonly repositories: readonly RepositoryAccess[]
}

/** What may be done in one repository. */
export interface RepositoryAccess {
  readonly name: string
  readonly actions: readonly RegistryAction[]
}

export type RegistryAction = 'pull' | 'push'
export type TokenTarget = GenericTarget | ClusterTarget | RegistryTarget

/** Every action of a repository, in the order in which they are written. */
export const registryActions = ['pull', 'push'] as const

/** Microsoft's application for the API servers of all AKS clusters that use Entra. */
export const aksServerApplication = '6dae42f8-4368-4678-94ff-3960e28e3630'

const suffix = '/.default'
/** The scope that asks for an administrator's credential, to be told why there is none. */
const adminScope = 'admin'
const maxRepositories = 16

/** Reads `audience` and `scope` of RFC 8693. Throws `invalid_request` for what names no resource. */
export function tokenTarget(audience: string | undefined, scope: string | undefined): TokenTarget {
  if (audience === undefined) return genericTarget(scope)
  if (isRegistryName(audience.toLowerCase())) return registryTarget(audience.toLowerCase(), scope)
  if (isClusterName(audience)) return clusterTarget(audience, scope)
  throw invalid(
    "'audience' is neither a container registry nor a cluster",
    'ask with NAME.azurecr.io, GROUP/NAME, or a scope alone',
  )
}

/** Whether `name` is the host of a container registry of Azure, in lower case. */
export function isRegistryName(name: string): boolean {
  return /^[a-z0-9]{5,50}(-[a-z0-9]+)?\.azurecr\.(io|us|cn)$/.test(name)
}

/** Whether `name` is a resource group and a cluster in it. */
export function isClusterName(name: string): boolean {
  return /^[\w().-]{1,90}\/[A-Za-z0-9](?:[\w-]{0,61}[A-Za-z0-9])?$/.test(name)
}

/** Whether `name` is what the distribution protocol accepts as a repository. */
export function isRepositoryName(name: string): boolean {
  const segment = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
  return name.length <= 255 && new RegExp(`^${segment}(?:/${segment})*$`).test(name)
}

/** Whether `text` is an audience in one spelling: an URL, `api://…` or an application's id. */
export function isAudience(text: string): boolean {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)) return true
  return text.length <= 256 && /^(https|api):\/\/[A-Za-z0-9][A-Za-z0-9._-]*(\/[\w.-]*)*$/.test(text)
}

/** Whether an audience is Azure Storage's, which other rules grant. */
export function isStorageAudience(audience: string): boolean {
  const text = audience.toLowerCase()
  if (text === 'e406a681-f3d4-42a8-90b6-c2b029497af1') return true
  if (/^https:\/\/storage\.azure\.(com|us|cn)\/?$/.test(text)) return true
  return /^https:\/\/[^/]+\.(blob|dfs|file|queue|table)\.(core|storage)\./.test(text)
}

/** Whether all that `asked` is for is for what `given` is for. */
export function isWithin(asked: TokenTarget, given: TokenTarget): boolean {
  switch (given.resource) {
    case 'azure-generic':
      return asked.resource === given.resource && asked.audience === given.audience
    case 'kubernetes-cluster':
      return asked.resource === given.resource && asked.cluster === given.cluster
    case 'docker-registry':
      return (
        asked.resource === given.resource &&
        asked.registry === given.registry &&
        asked.repositories.every((each) => given.repositories.some((it) => isPart(each, it)))
      )
    default:
      return given satisfies never
  }
}

function isPart(asked: RepositoryAccess, given: RepositoryAccess): boolean {
  return asked.name === given.name && asked.actions.every((each) => given.actions.includes(each))
}

function genericTarget(scope: string | undefined): GenericTarget {
  const audience = scope?.endsWith(suffix) === true ? scope.slice(0, -suffix.length) : undefined
  if (audience !== undefined && isAudience(audience)) return { resource: 'azure-generic', audience }
  throw invalid("'scope' names no resource", 'ask with one scope that ends in /.default')
}

function clusterTarget(audience: string, scope: string | undefined): ClusterTarget {
  if (scope === undefined || scope === `${aksServerApplication}${suffix}`) {
    return { resource: 'kubernetes-cluster', cluster: audience.toLowerCase() }
  }
  if (scope === adminScope) throw clusterAdmin()
  throw invalid(
    "'scope' is not that of a cluster's API server",
    `ask with ${aksServerApplication}${suffix}`,
  )
}

function registryTarget(registry: string, scope: string | undefined): RegistryTarget {
  const words = (scope ?? '').split(' ').filter((word) => word !== '')
  if (words.includes(adminScope)) throw registryAdmin()
  if (words.length === 0) throw wholeRegistry()
  if (words.length > maxRepositories) {
    throw invalid(`'scope' names more than ${maxRepositories} repositories`, 'ask for fewer')
  }
  return { resource: 'docker-registry', registry, repositories: words.map(repositoryAccess) }
}

function repositoryAccess(word: string): RepositoryAccess {
  const [kind, name, actions, ...rest] = word.split(':')
  const asked = (actions ?? '').split(',')
  const known = registryActions.filter((action) => asked.includes(action))
  const isWhole = known.length > 0 && known.length === asked.length && rest.length === 0
  if (kind === 'repository' && name !== undefined && isRepositoryName(name) && isWhole) {
    return { name, actions: known }
  }
  throw invalid(
    "'scope' asks for something else than pulling from and pushing to repositories",
    'ask with scope=repository:NAME:pull or repository:NAME:pull,push',
  )
}

function invalid(detail: string, hint: string): ConnectorError {
  return new ConnectorError('invalid_request', 'path_invalid', { detail, hint })
}

function wholeRegistry(): ConnectorError {
  return new ConnectorError('invalid_scope', 'unsupported_auth_for_resource', {
    detail: 'no token is given for a whole registry',
    hint: 'ask with scope=repository:NAME:pull or repository:NAME:pull,push',
  })
}

function registryAdmin(): ConnectorError {
  return new ConnectorError('access_denied', 'acr_admin_fallback_refused', {
    detail:
      "a registry's admin account is never used: its password is long-lived and for everything",
    hint: 'ask with scope=repository:NAME:pull or repository:NAME:pull,push',
  })
}

function clusterAdmin(): ConnectorError {
  return new ConnectorError('access_denied', 'aks_admin_refused', {
    detail:
      "a cluster's administrator certificate is never fetched: it lives for years and is nobody's",
    hint: `ask with scope=${aksServerApplication}${suffix}; operator: give the identity a role in the cluster`,
  })
}
