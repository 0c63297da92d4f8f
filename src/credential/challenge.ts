/** What a service wants of the next token, as its 401 says. */
export interface TokenChallenge {
  /** JSON of the claims that the token must have (continuous access evaluation). */
  readonly claims?: string | undefined
  /** The tenant that the account trusts. */
  readonly tenantId?: string | undefined
}

/**
 * Reads `WWW-Authenticate`, with or without quotes: `authorization_uri` names the tenant, `claims` are
 * base64. `undefined` when it asks for no bearer or says nothing.
 */
export function parseChallenge(header: string | undefined): TokenChallenge | undefined {
  const start = header?.search(/\bBearer\b/i) ?? -1
  if (header === undefined || start < 0) return undefined
  const fields = new Map<string, string>()
  for (const [, name = '', quoted, plain = ''] of header.slice(start).matchAll(fieldPattern)) {
    fields.set(name.toLowerCase(), quoted ?? plain)
  }
  const tenantId = tenantOf(fields.get('authorization_uri') ?? fields.get('authorization'))
  const claims = claimsOf(fields.get('claims'))
  return tenantId === undefined && claims === undefined ? undefined : { tenantId, claims }
}

const fieldPattern = /([a-z_]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))/gi

/** `https://login.microsoftonline.com/TENANT/oauth2/authorize`. */
function tenantOf(uri: string | undefined): string | undefined {
  if (uri === undefined || !URL.canParse(uri)) return undefined
  const tenant = new URL(uri).pathname.split('/')[1]
  const isNamed = tenant !== undefined && /^[0-9a-z][0-9a-z.-]*$/i.test(tenant)
  return isNamed && !['common', 'organizations', 'consumers'].includes(tenant) ? tenant : undefined
}

function claimsOf(encoded: string | undefined): string | undefined {
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString()
  try {
    const claims: unknown = JSON.parse(text)
    return typeof claims === 'object' && claims !== null ? text : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
