import { z } from 'zod'
import type { ClaimRules } from './claims.ts'
import type { ConnectionRule } from './connection.ts'

interface CallerName {
  readonly name: string
  /** May administer connectors, policies and keys, and read the audit log. */
  readonly admin?: boolean | undefined
}

/** A caller that signs in with a key, of which the connector knows the hash alone. */
export interface KeyCaller extends CallerName {
  readonly keySha256: string
}

/** A caller that signs in with a token of its platform. */
export interface JwtCaller extends CallerName {
  readonly jwt: {
    readonly issuer: string
    readonly audience: string
    /** Exactly this subject; `claims` may say instead who it is. */
    readonly subject?: string | undefined
    readonly claims?: ClaimRules | undefined
    /** Where the keys are; the issuer is asked when neither this nor a file is named. */
    readonly jwksUri?: URL | undefined
    readonly jwksFile?: string | undefined
  }
}

/** A caller that is known by its client certificate, or at the other end of a Unix socket. */
export type ConnectionCaller = CallerName & ConnectionRule

export type CallerConfig = KeyCaller | JwtCaller | ConnectionCaller

/** Not empty. */
export const text: z.ZodString = z.string().min(1)
/** An https URL without query and user name. */
export const httpsUrl: z.ZodType<URL, string> = text.transform((value, context): URL => {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url?.protocol === 'https:' && url.search === '' && url.username === '') return url
  context.addIssue({ code: 'custom', message: 'must be an https URL without query' })
  return z.NEVER
})
const jwt = z
  .strictObject({
    issuer: text,
    audience: text,
    subject: text.optional(),
    claims: z
      .record(text.regex(/^\//, 'must be a JSON pointer'), z.union([text, z.array(text).min(1)]))
      .optional(),
    jwksUri: httpsUrl.optional(),
    jwksFile: text.optional(),
  })
  .refine((value) => value.jwksUri === undefined || value.jwksFile === undefined, {
    path: ['jwksUri'],
    message: 'give jwksUri or jwksFile, or neither: then the issuer says where its keys are',
  })
  .refine(
    ({ issuer, jwksUri, jwksFile }) =>
      jwksUri !== undefined || jwksFile !== undefined || httpsUrl.safeParse(issuer).success,
    {
      path: ['issuer'],
      message: 'is no https URL, so it cannot be asked for its keys: give jwksUri or jwksFile',
    },
  )
  .refine(({ subject, claims = {} }) => subject !== undefined || Object.keys(claims).length > 0, {
    path: ['subject'],
    message: 'give subject or claims: every token of the issuer would fit',
  })
const certificateNames = z
  .strictObject({ commonName: text.optional(), alternativeName: text.optional() })
  .refine((names) => (names.commonName ?? names.alternativeName) !== undefined, {
    message: 'give commonName or alternativeName',
  })
/** What a caller is called. */
export const callerName: z.ZodString = text.regex(
  /^[\w.:@-]{1,64}$/,
  'must be letters, digits and .:@_-',
)
const keySha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits')
const id = z.number().int().min(0).max(0xffffffff)
const unixPeer = z
  .strictObject({ uid: id.optional(), gid: id.optional() })
  .refine((ids) => (ids.uid ?? ids.gid) !== undefined, { message: 'give uid or gid' })
/** One entry of `callers`. */
export const caller: z.ZodType<CallerConfig> = z
  .strictObject({
    name: callerName,
    admin: z.boolean().optional(),
    keySha256: keySha256.optional(),
    jwt: jwt.optional(),
    certificate: certificateNames.optional(),
    unixSocket: z.literal(true).optional(),
    unixPeer: unixPeer.optional(),
  })
  .transform((value, context): CallerConfig => {
    const { name, admin, keySha256, jwt, ...connection } = value
    const given = [keySha256, jwt, ...Object.values(connection)]
    const proofs = given.filter((each) => each !== undefined)
    const common = admin === undefined ? { name } : { name, admin }
    if (proofs.length === 1) {
      if (keySha256 !== undefined) return { ...common, keySha256 }
      return jwt === undefined ? { ...common, ...connection } : { ...common, jwt }
    }
    const message = 'give one of keySha256, jwt, certificate, unixSocket and unixPeer'
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })
