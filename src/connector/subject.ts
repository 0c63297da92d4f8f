import type { AuditAction } from './audit.ts'

/** What administrators' actions are about, and how long a name of one is at most. */
const kinds: Readonly<Partial<Record<AuditAction, readonly [kind: string, longest: number]>>> = {
  'connectors.change': ['connector', 64],
  'connectors.read': ['connector', 64],
  'connectors.verify': ['connector', 64],
  // A whole key in the place of its name is longer than an id: it must not reach the log.
  'keys.change': ['key', 36],
  'policies.change': ['policy', 64],
}

/**
 * What a refused request of an administrator was about, for the audit log: `connector/NAME`.
 * `undefined` where it names nothing, or something that is no name.
 */
export function subjectOf(action: AuditAction, params: unknown, body: unknown): string | undefined {
  const [kind, longest = 0] = kinds[action] ?? []
  const named: unknown = Object(params).id ?? Object(body).name
  if (kind === undefined || typeof named !== 'string' || named.length > longest) return undefined
  return /^[A-Za-z0-9][\w.-]*$/.test(named) ? `${kind}/${named}` : undefined
}
