import type { Denial, Principal } from './policy.ts'
import type {
  ClusterTarget,
  GenericTarget,
  RegistryAction,
  RegistryTarget,
  TokenTarget,
} from './token-target.ts'

interface RuleOfCaller {
  /** The id of the connector whose identity issues; the configuration's own when absent. */
  readonly connector?: string | undefined
  readonly caller: string
  /** Refuses a token that lives longer, milliseconds; its life is its issuer's to set. */
  readonly maxTtlMs?: number | undefined
}

/** Tokens of the resources listed, exactly as they are spelt. */
export interface GenericRule extends RuleOfCaller {
  readonly resource: 'azure-generic'
  readonly audiences: readonly string[]
}

/** Tokens for the clusters listed, `group/name` in lower case. */
export interface ClusterRule extends RuleOfCaller {
  readonly resource: 'kubernetes-cluster'
  readonly clusters: readonly string[]
}

/** Tokens for repositories of one registry. */
export interface RegistryRule extends RuleOfCaller {
  readonly resource: 'docker-registry'
  readonly registry: string
  /** Names; one that ends in `/*` stands for everything below, `*` for every repository. */
  readonly repositories: readonly string[]
  readonly actions: readonly RegistryAction[]
}

/** One thing beyond storage that one caller gets tokens for. */
export type TokenRule = GenericRule | ClusterRule | RegistryRule

/** Leave to issue one token, for what was asked for and nothing else. */
export interface TokenGrant {
  readonly decision: 'grant'
  readonly target: TokenTarget
  readonly maxTtlMs: number | undefined
  /** The id of the connector whose identity issues; the configuration's own when absent. */
  readonly connector?: string | undefined
}

/**
 * Decides without I/O. The first rule that grants the whole request decides; rules are not added
 * up. A denial tells nothing of what exists or of what others get. With `connector`, an id, its
 * rules alone are asked.
 */
export function decideToken(
  rules: readonly TokenRule[],
  principal: Principal,
  target: TokenTarget,
  connector?: string,
): TokenGrant | Denial {
  const own = rules.filter(
    (rule) =>
      rule.caller === principal.name && (connector === undefined || rule.connector === connector),
  )
  const rule = own.find((each) => covers(each, target))
  if (rule !== undefined) {
    const from = rule.connector === undefined ? {} : { connector: rule.connector }
    return { decision: 'grant', target, maxTtlMs: rule.maxTtlMs, ...from }
  }
  return target.resource === 'azure-generic'
    ? notAllowed(principal, target)
    : notGranted(principal, target)
}

/** What a target is called in messages and in the audit log. */
export function targetName(target: TokenTarget): string {
  switch (target.resource) {
    case 'azure-generic':
      return target.audience
    case 'kubernetes-cluster':
      return target.cluster
    case 'docker-registry':
      return `${target.registry} ${registryScopes(target).join(' ')}`
    default:
      return target satisfies never
  }
}

/** The scopes of a registry's own protocol that say what a target says. */
export function registryScopes(target: RegistryTarget): readonly string[] {
  return target.repositories.map(({ name, actions }) => `repository:${name}:${actions.join(',')}`)
}

function covers(rule: TokenRule, target: TokenTarget): boolean {
  switch (rule.resource) {
    case 'azure-generic':
      return target.resource === rule.resource && rule.audiences.includes(target.audience)
    case 'kubernetes-cluster':
      return target.resource === rule.resource && rule.clusters.includes(target.cluster)
    case 'docker-registry':
      return target.resource === rule.resource && coversRegistry(rule, target)
    default:
      return rule satisfies never
  }
}

function coversRegistry(rule: RegistryRule, target: RegistryTarget): boolean {
  if (rule.registry !== target.registry) return false
  return target.repositories.every(({ name, actions }) => {
    const named = rule.repositories.some((pattern) => fits(name, pattern))
    return named && actions.every((action) => rule.actions.includes(action))
  })
}

function fits(name: string, pattern: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern
}

function notAllowed(principal: Principal, target: GenericTarget): Denial {
  return {
    decision: 'denial',
    code: 'access_denied',
    reason: 'audience_not_allowed',
    detail: `caller '${principal.name}' gets no token for '${target.audience}'`,
    hint: "ask the operator of the connector to list exactly this audience in a rule of 'tokens'",
  }
}

function notGranted(principal: Principal, target: ClusterTarget | RegistryTarget): Denial {
  return {
    decision: 'denial',
    code: 'access_denied',
    reason: 'permission_not_granted',
    detail: `caller '${principal.name}' is not granted ${targetName(target)}`,
    hint: "ask the operator of the connector for a rule of 'tokens' that grants it",
  }
}
