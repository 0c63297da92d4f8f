/** What the 401 of a server tells clients about where to get tokens. */
export interface ChallengeRules {
  /** Entra's authorize endpoint with the tenant: `https://host/TENANT/oauth2/authorize`. */
  readonly authorizationUri: string
}

const resourceId = 'https://storage.azure.com'

/** `WWW-Authenticate` for no token, or for one that will not do. */
export function bearerChallenge({ authorizationUri }: ChallengeRules): string {
  return `Bearer authorization_uri=${authorizationUri} resource_id=${resourceId}`
}

/**
 * `WWW-Authenticate` for a token that was ended early: clients ask for another with these claims,
 * past their cache (continuous access evaluation). `claims` is JSON text.
 */
export function claimsChallenge({ authorizationUri }: ChallengeRules, claims: string): string {
  const encoded = Buffer.from(claims).toString('base64')
  const parameters = {
    realm: '',
    authorization_uri: authorizationUri,
    error: 'insufficient_claims',
  }
  const list = Object.entries({ ...parameters, claims: encoded })
  return `Bearer ${list.map(([name, value]) => `${name}="${value}"`).join(', ')}`
}

/** The claims that ask for a token issued at or after a time. */
export function issuedSince(ms: number): string {
  const value = String(Math.floor(ms / 1000))
  return JSON.stringify({ access_token: { nbf: { essential: true, value } } })
}
