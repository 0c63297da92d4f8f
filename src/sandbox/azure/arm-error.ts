/** A refusal of the management (ARM), in its codes. */
export class ArmError extends Error {
  override readonly name = 'ArmError'
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    code: string,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message)
    this.status = status
    this.code = code
    this.headers = headers
  }

  /** The body that clients read. */
  get body(): object {
    return { error: { code: this.code, message: this.message } }
  }
}

/** 401, with where tokens are to be had. */
export function unauthenticated(reason: string, authority: URL, tenantId: string): ArmError {
  const missing = reason === 'missing'
  const detail = missing
    ? "Authentication failed. The 'Authorization' header is missing."
    : `The access token is invalid (${reason}).`
  const code = missing ? 'AuthenticationFailed' : armTokenCode(reason)
  const uri = new URL(tenantId, authority).href
  return new ArmError(401, code, detail, {
    'www-authenticate': `Bearer authorization_uri="${uri}", error="invalid_token", error_description="${detail}"`,
  })
}

/** 401 that asks for a token with further claims, as continuous access evaluation does. */
export function claimsWanted(claims: string, authority: URL, tenantId: string): ArmError {
  const encoded = Buffer.from(claims, 'utf8').toString('base64')
  const uri = new URL(`${tenantId}/oauth2/authorize`, authority).href
  return new ArmError(401, 'AuthenticationFailed', 'Authentication failed.', {
    'www-authenticate': `Bearer realm="", authorization_uri="${uri}", error="insufficient_claims", claims="${encoded}"`,
  })
}

/** 403 in the words that name the action and the scope. */
export function forbidden(
  holder: { readonly clientId: string; readonly objectId: string },
  action: string,
  scope: string,
): ArmError {
  return new ArmError(
    403,
    'AuthorizationFailed',
    `The client '${holder.clientId}' with object id '${holder.objectId}' does not have authorization to perform action '${action}' over scope '${scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.`,
  )
}

export function notFound(code: string, what: string): ArmError {
  return new ArmError(404, code, `${what} could not be found.`)
}

function armTokenCode(reason: string): string {
  if (reason === 'expired') return 'ExpiredAuthenticationToken'
  return reason === 'audience' ? 'InvalidAuthenticationTokenAudience' : 'InvalidAuthenticationToken'
}
