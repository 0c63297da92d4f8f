import type { Permission, Scope } from '../credential/credential.ts'
import { segmentsOf } from './canonical-scope.ts'
import type { ConnectorErrorCode, ConnectorErrorReason } from './connector-error.ts'
import type { CredentialKind } from './protocol.ts'
import type { TokenRule } from './token-policy.ts'

/** A caller whose proof was accepted: a name of the configuration. */
export interface Principal {
  readonly name: string
  /** May administer connectors, policies and keys, and read the audit log. */
  readonly admin?: boolean | undefined
}

/** One thing that one caller may do. A scope is granted by one rule alone, never by their sum. */
export interface PolicyRule {
  /** The id of the connector whose identity issues; the configuration's own when absent. */
  readonly connector?: string | undefined
  readonly caller: string
  readonly account: string
  /** A container's name; `*` for the account itself and with it every container. */
  readonly container: string
  /** Limits the rule to what lies below; canonical. `undefined`: the whole container. */
  readonly prefix?: string | undefined
  readonly permissions: readonly Permission[]
  /** The kinds that may be given, the preferred one first. */
  readonly credentials: readonly CredentialKind[]
  /** What is done where Azure cannot limit a credential to the prefix. Default `deny`. */
  readonly onUnscopable?: 'deny' | 'sign' | undefined
  /** The longest life of a signature, milliseconds. */
  readonly maxTtlMs: number
  /** Refuses a bearer that lives longer than `maxTtlMs`; a bearer's life is Entra's to set. */
  readonly enforceBearerTtl: boolean
}

/** What policy knows of an account. */
export interface PolicyAccount {
  readonly name: string
  readonly hierarchicalNamespace: boolean
}

export interface Policy {
  readonly accounts: readonly PolicyAccount[]
  readonly rules: readonly PolicyRule[]
  /** What is granted beyond storage; nothing when absent. */
  readonly tokens?: readonly TokenRule[] | undefined
}

/** What a caller asks policy for; the scope is canonical. */
export interface PolicyQuestion {
  readonly scope: Scope
  readonly kind?: CredentialKind | undefined
  /** Only rules of the connector with this id; all of them when absent. */
  readonly connector?: string | undefined
  /**
   * The connector stays between: it signs the one blob that the prefix names, or lists what is below.
   */
  readonly mediated?: boolean | undefined
}

/** Leave to issue one credential: the scope is the one asked for. */
export interface Grant {
  readonly decision: 'grant'
  readonly scope: Scope
  readonly kind: CredentialKind
  readonly maxTtlMs: number
  readonly enforceBearerTtl: boolean
  /** The id of the connector whose identity issues; the configuration's own when absent. */
  readonly connector?: string | undefined
}

/** A refusal, in the words of the wire. */
export interface Denial {
  readonly decision: 'denial'
  readonly code: ConnectorErrorCode
  readonly reason: ConnectorErrorReason
  readonly detail: string
  readonly hint: string
}

/**
 * Decides without I/O. Each step leaves the rules that fit so far; when none is left, the denial
 * names the step. That an account or container exists is never told to a caller without a rule.
 */
export function decide(
  policy: Policy,
  principal: Principal,
  question: PolicyQuestion,
): Grant | Denial {
  const { scope, connector } = question
  const place = policy.rules.filter(
    (rule) =>
      (connector === undefined || rule.connector === connector) && isPlace(rule, principal, scope),
  )
  if (place.length === 0) return notGranted(principal, scope, scope.permissions)

  const above = place.filter((rule) => isBelow(scope.prefix, rule.prefix))
  if (above.length === 0) return outsideRoot(place)

  const allowed = above.filter((rule) => isSubset(scope.permissions, rule.permissions))
  if (allowed.length === 0) return notGranted(principal, scope, missing(scope, above))

  const enforceable = allowed.filter((rule) => mayMediate(rule, question))
  const unenforceable =
    question.mediated === true
      ? notMediated(enforceable)
      : unenforceablePrefix(policy, scope, allowed)
  if (unenforceable !== undefined) return unenforceable

  for (const rule of enforceable) {
    const kind = chooseKind(rule, question)
    if (kind !== undefined) return grantOf(rule, scope, kind)
  }
  return noKind(question)
}

/** A rule for a prefix is mediated where it says so; one for the container needs no leave. */
function mayMediate(rule: PolicyRule, { mediated }: PolicyQuestion): boolean {
  return mediated !== true || rule.prefix === undefined || rule.onUnscopable === 'sign'
}

function notMediated(rules: readonly PolicyRule[]): Denial | undefined {
  if (rules.length > 0) return undefined
  return unenforceable(
    'the policy does not let the connector sign and list below the prefix',
    "ask the operator of the connector for 'onUnscopable: sign' in the rule",
  )
}

function isPlace(rule: PolicyRule, principal: Principal, scope: Scope): boolean {
  const container = rule.container === '*' || rule.container === scope.container
  return rule.caller === principal.name && rule.account === scope.account && container
}

/** Whether `prefix` names `root` or something below it, segment by segment. */
function isBelow(prefix: string | undefined, root: string | undefined): boolean {
  const segments = segmentsOf(prefix)
  return segmentsOf(root).every((segment, index) => segments[index] === segment)
}

function isSubset(asked: readonly Permission[], given: readonly Permission[]): boolean {
  return asked.every((permission) => given.includes(permission))
}

/** A signature cannot cover a whole account, and nothing limits a bearer to a prefix. */
function chooseKind(rule: PolicyRule, question: PolicyQuestion): CredentialKind | undefined {
  return rule.credentials.find((kind) => {
    const wanted = question.kind === undefined || question.kind === kind
    const { container, prefix } = question.scope
    return wanted && (kind === 'bearer' ? prefix === undefined : container !== undefined)
  })
}

function grantOf(rule: PolicyRule, scope: Scope, kind: CredentialKind): Grant {
  const { maxTtlMs, enforceBearerTtl, connector } = rule
  const from = connector === undefined ? {} : { connector }
  return { decision: 'grant', scope, kind, maxTtlMs, enforceBearerTtl, ...from }
}

function missing(scope: Scope, rules: readonly PolicyRule[]): readonly Permission[] {
  const given = rules.flatMap((rule) => rule.permissions)
  const missed = scope.permissions.filter((permission) => !given.includes(permission))
  return missed.length > 0 ? missed : scope.permissions
}

function notGranted(
  principal: Principal,
  scope: Scope,
  permissions: readonly Permission[],
): Denial {
  const place =
    scope.container === undefined
      ? `account '${scope.account}' itself`
      : `container '${scope.container}' of account '${scope.account}'`
  return {
    decision: 'denial',
    code: 'access_denied',
    reason: 'permission_not_granted',
    detail: `caller '${principal.name}' is not granted ${permissions.join(', ')} on ${place}`,
    hint: 'ask the operator of the connector for a policy rule that grants it',
  }
}

function outsideRoot(rules: readonly PolicyRule[]): Denial {
  const roots = rules.map((rule) => `'${rule.prefix}'`).join(', ')
  return {
    decision: 'denial',
    code: 'invalid_scope',
    reason: 'path_outside_root',
    detail: `the policy grants only what lies below ${roots}`,
    hint: 'ask for a path below it',
  }
}

/** A prefix is enforced by a directory's signature, or not at all. */
function unenforceablePrefix(
  policy: Policy,
  scope: Scope,
  rules: readonly PolicyRule[],
): Denial | undefined {
  if (scope.prefix === undefined) return undefined
  const account = policy.accounts.find((each) => each.name === scope.account)
  if (account?.hierarchicalNamespace !== true) {
    return unenforceable(
      `account '${scope.account}' has a flat namespace, where Azure cannot limit a credential to a prefix`,
      rules.some(({ onUnscopable }) => onUnscopable === 'sign')
        ? 'ask for single blobs: POST /v1/sign and /v1/list, with abfs --hns false (ABFS_HNS)'
        : 'ask for the whole container, or keep what must be apart in containers of its own',
    )
  }
  if (!scope.permissions.includes('tag')) return undefined
  return unenforceable('a signature for a directory cannot grant tags', 'ask without tag')
}

function unenforceable(detail: string, hint: string): Denial {
  return { decision: 'denial', code: 'invalid_scope', reason: 'scope_unenforceable', detail, hint }
}

function noKind(question: PolicyQuestion): Denial {
  const account = question.scope.container === undefined
  if (question.scope.prefix !== undefined) return noPrefixKind()
  return {
    decision: 'denial',
    code: 'access_denied',
    reason: 'credential_kind_not_granted',
    detail: account
      ? 'the account itself can only be reached with a bearer, which the policy does not give here'
      : `the policy gives no ${question.kind ?? 'credential'} for this scope`,
    hint:
      question.kind === undefined || account
        ? "add 'bearer' to the rule's credentials, if the identity behind it may be lent"
        : 'ask without naming a kind',
  }
}

function noPrefixKind(): Denial {
  return {
    decision: 'denial',
    code: 'access_denied',
    reason: 'credential_kind_not_granted',
    detail: 'only a signature can be limited to a prefix, and the policy gives none here',
    hint: "ask without naming a kind, or add 'sas' to the rule's credentials",
  }
}
