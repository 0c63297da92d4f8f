import type { StorageRequest } from '../wire/request.ts'

/** Audiences that the tokens of a server's callers may have. */
export interface AudienceRules {
  /** Only the audience of the very account and host: what is meant for all accounts is refused. */
  readonly perAccountOnly?: boolean | undefined
}

const anyAccount: readonly string[] = [
  'https://storage.azure.com',
  'https://storage.azure.com/',
  'e406a681-f3d4-42a8-90b6-c2b029497af1',
]

/**
 * Whether a token for `audience` is good for the request's account and host. A path-style URL is one
 * host for both faces: there a token for either passes.
 */
export function isAudienceOf(
  audience: string,
  request: Pick<StorageRequest, 'account' | 'face' | 'pathStyle'>,
  rules: AudienceRules,
): boolean {
  const faces = request.pathStyle ? (['blob', 'dfs'] as const) : [request.face]
  const own = faces.map((face) => `https://${request.account}.${face}.core.windows.net`)
  if (own.includes(audience.replace(/\/$/, ''))) return true
  return rules.perAccountOnly !== true && anyAccount.includes(audience)
}
