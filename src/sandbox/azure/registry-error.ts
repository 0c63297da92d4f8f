import type { FastifyReply } from 'fastify'

/** A refusal in the form of the distribution protocol. */
export class RegistryError extends Error {
  override readonly name = 'RegistryError'
  readonly status: number
  readonly code: string
  /** What a token must be asked for, where that would help. */
  readonly scope: string | undefined

  constructor(status: number, code: string, message: string, scope?: string) {
    super(message)
    this.status = status
    this.code = code
    this.scope = scope
  }
}

export function unauthorized(scope?: string): RegistryError {
  const message =
    'authentication required, visit https://aka.ms/acr/authorization for more information.'
  return new RegistryError(401, 'UNAUTHORIZED', message, scope)
}

export function unknown(what: 'BLOB' | 'MANIFEST' | 'NAME' | 'BLOB_UPLOAD'): RegistryError {
  return new RegistryError(404, `${what}_UNKNOWN`, `${what.toLowerCase()} unknown to registry`)
}

/** Sends it; a 401 says where tokens are to be had. */
export function sendRegistryError(
  error: RegistryError,
  reply: FastifyReply,
  { realm, service }: { readonly realm: string; readonly service: string },
): FastifyReply {
  if (error.status === 401) {
    const scope = error.scope === undefined ? '' : `,scope="${error.scope}"`
    reply.header('www-authenticate', `Bearer realm="${realm}",service="${service}"${scope}`)
  }
  const { code, message } = error
  return reply.code(error.status).send({ errors: [{ code, message, detail: null }] })
}
