import { z } from 'zod'
import { isAccountName, isContainerName, prefixFault } from './canonical-scope.ts'
import { isLoopback } from './loopback.ts'
import type { PolicyRule } from './policy.ts'
import { permissionNames, sortPermissions } from './protocol.ts'
import { tokenRule } from './token-config.ts'
import type { TokenRule } from './token-policy.ts'

/** Where the connector listens: a TCP port, or a Unix socket instead. */
export interface ListenConfig {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly unixSocket?: string | undefined
  readonly tls?: { readonly certFile: string; readonly keyFile: string } | undefined
  /** Lets it listen beyond loopback without TLS of its own. */
  readonly behindTlsProxy: boolean
}

interface Application {
  readonly tenantId: string
  readonly clientId: string
}

interface Authority {
  /** The public cloud's Entra when absent. */
  readonly authorityHost?: URL | undefined
  /** For an authority that the public cloud does not know. */
  readonly disableInstanceDiscovery: boolean
}

/** Who the connector is towards Entra. Long-lived secrets are named by file or variable only. */
export type IdentityConfig =
  | (Application &
      Authority & {
        readonly kind: 'service-principal'
        readonly clientSecretFile?: string | undefined
        readonly clientSecretEnv?: string | undefined
      })
  | (Application & Authority & { readonly kind: 'certificate'; readonly certificateFile: string })
  | (Application &
      Authority & { readonly kind: 'workload-identity'; readonly federatedTokenFile: string })
  | { readonly kind: 'managed-identity'; readonly managedIdentityClientId?: string | undefined }
  | (Authority & {
      readonly kind: 'default'
      readonly tenantId?: string | undefined
      readonly managedIdentityClientId?: string | undefined
    })

/** One storage account that credentials may be issued for. */
export interface AccountConfig {
  readonly name: string
  /** `https://NAME.blob.SUFFIX` when absent. */
  readonly blobEndpoint?: URL | undefined
  readonly hierarchicalNamespace: boolean
}

/** A caller that signs in with a key, of which the connector knows the hash alone. */
export interface KeyCaller {
  readonly name: string
  readonly keySha256: string
}

/** A caller that signs in with a token of its platform. */
export interface JwtCaller {
  readonly name: string
  readonly jwt: {
    readonly issuer: string
    readonly audience: string
    readonly subject: string
    readonly jwksUri?: URL | undefined
    readonly jwksFile?: string | undefined
  }
}

export type CallerConfig = KeyCaller | JwtCaller

/** All that a connector is told. File names are as written. */
export interface ConnectorConfig {
  readonly listen: ListenConfig
  readonly identity: IdentityConfig
  /** The endpoint suffix of the cloud: `core.windows.net`. */
  readonly cloud: string
  /** PEM of authorities to trust beside the system's, for Entra and storage. */
  readonly caFile?: string | undefined
  readonly accounts: readonly AccountConfig[]
  readonly callers: readonly CallerConfig[]
  readonly policy: readonly PolicyRule[]
  /** What is granted beyond storage. */
  readonly tokens: readonly TokenRule[]
  /** Where decisions are written: a file's name, or `stdout`. */
  readonly audit: string
  readonly requestsPerMinute: number
}

const text = z.string().min(1)
const httpsUrl = text.transform((value, context): URL => {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url?.protocol === 'https:' && url.search === '' && url.username === '') return url
  context.addIssue({ code: 'custom', message: 'must be an https URL without query' })
  return z.NEVER
})
const secret = { clientSecretFile: text.optional(), clientSecretEnv: text.optional() }
const application = { tenantId: text, clientId: text }
const authority = {
  authorityHost: httpsUrl.optional(),
  disableInstanceDiscovery: z.boolean().default(false),
}
const identity = z
  .discriminatedUnion('kind', [
    z.strictObject({
      kind: z.literal('service-principal'),
      ...application,
      ...secret,
      ...authority,
    }),
    z.strictObject({
      kind: z.literal('certificate'),
      ...application,
      certificateFile: text,
      ...authority,
    }),
    z.strictObject({
      kind: z.literal('workload-identity'),
      ...application,
      federatedTokenFile: text,
      ...authority,
    }),
    z.strictObject({
      kind: z.literal('managed-identity'),
      managedIdentityClientId: text.optional(),
    }),
    z.strictObject({
      kind: z.literal('default'),
      tenantId: text.optional(),
      managedIdentityClientId: text.optional(),
      ...authority,
    }),
  ])
  .refine(
    (value) =>
      value.kind !== 'service-principal' ||
      (value.clientSecretFile === undefined) !== (value.clientSecretEnv === undefined),
    { path: ['clientSecretFile'], message: 'give either clientSecretFile or clientSecretEnv' },
  )

const listen = z
  .strictObject({
    host: text.default('127.0.0.1'),
    port: z.number().int().min(0).max(65535).default(8471),
    unixSocket: text.optional(),
    tls: z.strictObject({ certFile: text, keyFile: text }).optional(),
    behindTlsProxy: z.boolean().default(false),
  })
  .refine((value) => isPrivate(value), {
    path: ['host'],
    message:
      'listening beyond loopback needs listen.tls, or behindTlsProxy: true where a proxy ends TLS',
  })

const accountName = text.refine(isAccountName, 'must be 3 to 24 lower-case letters and digits')
const account = z.strictObject({
  name: accountName,
  blobEndpoint: httpsUrl.optional(),
  hierarchicalNamespace: z.boolean().default(false),
})

const jwt = z
  .strictObject({
    issuer: text,
    audience: text,
    subject: text,
    jwksUri: httpsUrl.optional(),
    jwksFile: text.optional(),
  })
  .refine((value) => (value.jwksUri === undefined) !== (value.jwksFile === undefined), {
    path: ['jwksUri'],
    message: 'give either jwksUri or jwksFile',
  })
const callerName = text.regex(/^[\w.:@-]{1,64}$/, 'must be letters, digits and .:@_-')
const keySha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits')
const caller = z
  .strictObject({ name: callerName, keySha256: keySha256.optional(), jwt: jwt.optional() })
  .transform((value, context): CallerConfig => {
    const { name, keySha256, jwt } = value
    if (keySha256 !== undefined && jwt === undefined) return { name, keySha256 }
    if (jwt !== undefined && keySha256 === undefined) return { name, jwt }
    context.addIssue({ code: 'custom', message: 'give either keySha256 or jwt' })
    return z.NEVER
  })

const rule = z
  .strictObject({
    caller: callerName,
    account: accountName,
    container: text.refine((name) => name === '*' || isContainerName(name), 'is no container name'),
    prefix: text.optional(),
    permissions: z.array(z.enum(permissionNames)).min(1),
    credentials: z
      .array(z.enum(['sas', 'bearer']))
      .min(1)
      .default(['sas']),
    maxTtlSeconds: z
      .number()
      .int()
      .min(60)
      .max(6 * 3600)
      .default(3600),
    enforceBearerTtl: z.boolean().default(false),
  })
  .superRefine((value, context) => {
    const fault = value.prefix === undefined ? undefined : prefixFault(value.prefix)
    if (fault !== undefined) context.addIssue({ code: 'custom', path: ['prefix'], message: fault })
    if (value.container === '*' && value.prefix !== undefined) {
      context.addIssue({ code: 'custom', path: ['prefix'], message: "needs a container, not '*'" })
    }
    if (value.prefix !== undefined && !value.credentials.includes('sas')) {
      const message = "'bearer' cannot be limited to a prefix: add 'sas', or leave out the prefix"
      context.addIssue({ code: 'custom', path: ['credentials'], message })
    }
  })
  .transform(
    ({ maxTtlSeconds, permissions, ...rest }): PolicyRule => ({
      ...rest,
      permissions: sortPermissions(permissions),
      maxTtlMs: maxTtlSeconds * 1000,
    }),
  )

/** Checks and completes what the YAML of a configuration holds. */
export const configSchema: z.ZodType<ConnectorConfig> = z
  .strictObject({
    listen: listen.prefault({}),
    identity,
    allowImplicitIdentity: z.boolean().default(false),
    cloud: text.regex(/^[a-z0-9.-]+$/, 'must be a DNS suffix').default('core.windows.net'),
    caFile: text.optional(),
    accounts: z.array(account).min(1),
    callers: z.array(caller).min(1),
    policy: z.array(rule),
    tokens: z.array(tokenRule).default([]),
    audit: text.default('stdout'),
    requestsPerMinute: z.number().int().min(1).default(600),
  })
  .superRefine(checkReferences)

function checkReferences(
  value: {
    readonly allowImplicitIdentity: boolean
    readonly identity: IdentityConfig
    readonly accounts: readonly AccountConfig[]
    readonly callers: readonly CallerConfig[]
    readonly policy: readonly PolicyRule[]
    readonly tokens: readonly TokenRule[]
  },
  context: z.RefinementCtx,
): void {
  const add = (path: (string | number)[], message: string): void =>
    context.addIssue({ code: 'custom', path, message })
  const implicit = value.identity.kind === 'default' || value.identity.kind === 'managed-identity'
  if (implicit && !value.allowImplicitIdentity) {
    add(
      ['identity', 'kind'],
      `'${value.identity.kind}' lends whatever identity this machine has; set allowImplicitIdentity: true to agree`,
    )
  }
  for (const [index, each] of value.policy.entries()) {
    if (!value.callers.some(({ name }) => name === each.caller)) {
      add(['policy', index, 'caller'], `no caller is named '${each.caller}'`)
    }
    if (!value.accounts.some(({ name }) => name === each.account)) {
      add(['policy', index, 'account'], `no account is named '${each.account}'`)
    }
    const flat = value.accounts.some((it) => it.name === each.account && !it.hierarchicalNamespace)
    if (flat && each.prefix !== undefined) {
      add(['policy', index, 'prefix'], 'cannot be enforced on an account with a flat namespace')
    }
  }
  for (const [index, each] of value.tokens.entries()) {
    if (!value.callers.some(({ name }) => name === each.caller)) {
      add(['tokens', index, 'caller'], `no caller is named '${each.caller}'`)
    }
  }
  for (const key of ['accounts', 'callers'] as const) {
    const names = value[key].map(({ name }) => name)
    const twice = names.findIndex((name, index) => names.indexOf(name) !== index)
    if (twice >= 0) add([key, twice, 'name'], `'${names[twice]}' is named twice`)
  }
}

function isPrivate(value: {
  readonly host: string
  readonly unixSocket?: string | undefined
  readonly tls?: unknown
  readonly behindTlsProxy: boolean
}): boolean {
  const guarded = value.unixSocket !== undefined || value.tls !== undefined || value.behindTlsProxy
  return guarded || isLoopback(value.host)
}
