import { z } from 'zod'

/** How an identity signs in to Entra, in the order of how little it has to keep. */
export const authMethods = [
  'implicit',
  'managed-identity',
  'workload-identity',
  'environment',
  'cli',
  'federated',
  'certificate',
  'service-principal',
  'access-token',
] as const
export type AuthMethod = (typeof authMethods)[number]

/** Methods that lend what the server's machine has: each connector needs the operator's leave. */
const implicitMethods: ReadonlySet<AuthMethod> = new Set([
  'implicit',
  'managed-identity',
  'workload-identity',
  'environment',
  'cli',
])

interface Authority {
  readonly authorityHost?: string | undefined
  readonly disableInstanceDiscovery?: boolean | undefined
}

interface Application {
  readonly tenantId: string
  readonly clientId: string
}

interface ManagedIdentity {
  readonly method: 'managed-identity'
  readonly clientId?: string | undefined
  readonly resourceId?: string | undefined
  readonly objectId?: string | undefined
}

type Environment = { readonly method: 'environment' }
type Cli = { readonly method: 'cli'; readonly tenantId?: string | undefined }

/** How a connector signs in. What is secret in it is kept apart, sealed. */
export type Auth =
  | (Authority & {
      readonly method: 'implicit'
      readonly tenantId?: string | undefined
      readonly managedIdentityClientId?: string | undefined
    })
  | ManagedIdentity
  | (Authority & {
      readonly method: 'workload-identity'
      readonly tenantId?: string | undefined
      readonly clientId?: string | undefined
      readonly federatedTokenFile?: string | undefined
    })
  | Environment
  | Cli
  | (Application &
      Authority & {
        readonly method: 'federated'
        readonly assertionFile?: string | undefined
        readonly assertionFromManagedIdentity?: string | undefined
      })
  | (Application &
      Authority & {
        readonly method: 'certificate'
        readonly certificateFile?: string | undefined
      })
  | (Application &
      Authority & {
        readonly method: 'service-principal'
        readonly clientSecretFile?: string | undefined
        readonly clientSecretEnv?: string | undefined
      })
  | {
      readonly method: 'access-token'
      readonly tokenFile?: string | undefined
      readonly audience?: string | undefined
      readonly expiresAt?: string | undefined
    }
/** How a connector signs in, by one method. */
export type AuthOf<M extends AuthMethod> = Extract<Auth, { method: M }>

/** {@link Auth} as the API accepts it, with its secrets. */
export type SubmittedAuth =
  | { readonly method: 'implicit'; readonly tenantId?: string | undefined }
  | ManagedIdentity
  | {
      readonly method: 'workload-identity'
      readonly tenantId?: string | undefined
      readonly clientId?: string | undefined
    }
  | Environment
  | Cli
  | (Application & { readonly method: 'federated'; readonly assertion: string })
  | (Application & { readonly method: 'certificate'; readonly certificatePem: string })
  | (Application & { readonly method: 'service-principal'; readonly clientSecret: string })
  | {
      readonly method: 'access-token'
      readonly token: string
      readonly audience: string
      readonly expiresAt: string
    }

const text = z.string().min(1).max(4096)
const id = z.string().regex(/^[\w.-]{1,128}$/, 'must be an id or a domain name')
const httpsUrl = text.refine(
  (value) => URL.canParse(value) && new URL(value).protocol === 'https:',
  'must be an https URL',
)
/** An authority named by the operator alone: whoever names it receives the secret. */
const authority = {
  authorityHost: httpsUrl.optional(),
  disableInstanceDiscovery: z.boolean().optional(),
}
const application = { tenantId: id, clientId: id }
const managed = z.strictObject({
  method: z.literal('managed-identity'),
  clientId: id.optional(),
  resourceId: text.optional(),
  objectId: id.optional(),
})
const environment = z.strictObject({ method: z.literal('environment') })
const cli = z.strictObject({ method: z.literal('cli'), tenantId: id.optional() })

/** As a configuration file may say it: secrets by file or variable, authorities by URL. */
export const declaredAuth: z.ZodType<Auth> = z.discriminatedUnion('method', [
  z.strictObject({
    method: z.literal('implicit'),
    tenantId: id.optional(),
    managedIdentityClientId: id.optional(),
    ...authority,
  }),
  managed,
  z.strictObject({
    method: z.literal('workload-identity'),
    tenantId: id.optional(),
    clientId: id.optional(),
    federatedTokenFile: text.optional(),
    ...authority,
  }),
  environment,
  cli,
  z.strictObject({
    method: z.literal('federated'),
    ...application,
    assertionFile: text.optional(),
    assertionFromManagedIdentity: id.optional(),
    ...authority,
  }),
  z.strictObject({
    method: z.literal('certificate'),
    ...application,
    certificateFile: text.optional(),
    ...authority,
  }),
  z.strictObject({
    method: z.literal('service-principal'),
    ...application,
    clientSecretFile: text.optional(),
    clientSecretEnv: text.optional(),
    ...authority,
  }),
  z.strictObject({
    method: z.literal('access-token'),
    tokenFile: text.optional(),
    audience: text.optional(),
    expiresAt: z.iso.datetime().optional(),
  }),
])

/** Fields that are secrets. They are accepted, sealed, and never given back. */
export const secretFields = ['clientSecret', 'certificatePem', 'assertion', 'token'] as const
export type SecretField = (typeof secretFields)[number]
/** Secrets by their fields, apart from what may be shown. */
export type Secrets = Readonly<Partial<Record<SecretField, string>>>

const secret = z
  .string()
  .min(1)
  .max(64 * 1024)

/**
 * As the API accepts it: a secret stands in it, and neither a file nor a variable of the server nor
 * an authority may be named, which would send what is there to wherever the caller says.
 */
export const submittedAuth: z.ZodType<SubmittedAuth> = z.discriminatedUnion('method', [
  z.strictObject({ method: z.literal('implicit'), tenantId: id.optional() }),
  managed,
  z.strictObject({
    method: z.literal('workload-identity'),
    tenantId: id.optional(),
    clientId: id.optional(),
  }),
  environment,
  cli,
  z.strictObject({ method: z.literal('federated'), ...application, assertion: secret }),
  z.strictObject({ method: z.literal('certificate'), ...application, certificatePem: secret }),
  z.strictObject({ method: z.literal('service-principal'), ...application, clientSecret: secret }),
  z.strictObject({
    method: z.literal('access-token'),
    token: secret,
    audience: text,
    expiresAt: z.iso.datetime(),
  }),
])

/** Parts what may be shown from what must be sealed. */
export function separateSecrets(submitted: SubmittedAuth): { auth: Auth; secrets: Secrets } {
  const isSecret = (field: string): boolean => secretFields.some((each) => each === field)
  const fields = Object.entries(submitted)
  const auth = declaredAuth.parse(Object.fromEntries(fields.filter(([name]) => !isSecret(name))))
  const secrets: Secrets = Object.fromEntries(fields.filter(([name]) => isSecret(name)))
  return { auth, secrets }
}

/** Whether the method lends an identity of the machine rather than one of its own. */
export function isImplicit({ method }: Pick<Auth, 'method'>): boolean {
  return implicitMethods.has(method)
}
