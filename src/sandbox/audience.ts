import {
  fieldMissing,
  resourceNotFound,
  scopeInvalid,
  scopesOfSeveralResources,
} from './entra-refusal.ts'

// The resources that exist in the tenant. Any account's own audience does, as in Azure: which
// account takes a token is the storage service's decision.
const resources: readonly RegExp[] = [
  /^https:\/\/storage\.azure\.com\/?$/,
  /^e406a681-f3d4-42a8-90b6-c2b029497af1$/,
  /^https:\/\/[a-z0-9]{3,24}\.(blob|dfs)\.core\.windows\.net\/?$/,
  /^https:\/\/management\.(azure\.com|core\.windows\.net)\/?$/,
  /^https:\/\/containerregistry\.azure\.net\/?$/,
  /^https:\/\/vault\.azure\.net\/?$/,
  // The API servers of Kubernetes clusters.
  /^6dae42f8-4368-4678-94ff-3960e28e3630$/,
]

// Some clients add these to every request; they name no resource.
const oidcScopes = new Set(['openid', 'profile', 'offline_access', 'email'])
const suffix = '/.default'

/**
 * The audience that a `scope` parameter asks for: everything before `/.default`, so that
 * `https://storage.azure.com//.default` keeps its slash. Throws an `EntraRefusal` otherwise.
 */
export function audienceOfScope(scope: string | null, tenant: string): string {
  if (scope === null || scope.trim() === '') throw fieldMissing('scope')
  const asked = scope.split(' ').filter((word) => word !== '' && !oidcScopes.has(word))
  const [first = scope, ...others] = asked
  if (others.length > 0) throw scopesOfSeveralResources(scope)
  if (!first.endsWith(suffix)) throw scopeInvalid(first)
  return audienceOfResource(first.slice(0, -suffix.length), tenant)
}

/** The audience for the `resource` of managed identity: the same spelling, if it exists. */
export function audienceOfResource(resource: string, tenant: string): string {
  if (!resources.some((pattern) => pattern.test(resource))) throw resourceNotFound(resource, tenant)
  return resource
}
