import { z } from 'zod'
import { type ManagementConfig, managementConfig, registryConfig } from './azure-config.ts'
import type { ClaimRules } from './callers/claims.ts'
import type { ConnectionRule } from './callers/connection.ts'
import { isAccountName, isContainerName, prefixFault } from './canonical-scope.ts'
import { isLoopback } from './loopback.ts'
import type { PolicyRule } from './policy.ts'
import { permissionNames, sortPermissions } from './protocol.ts'
import { type DeclaredConfig, declaredFaults, declaredFields } from './registry/declared-config.ts'
import type { RegistryConfig } from './registry-exchange.ts'
import { tokenRule } from './token-config.ts'
import type { TokenRule } from './token-policy.ts'

/** Where the connector listens: a TCP port, or a Unix socket instead. */
export interface ListenConfig {
  readonly host: string
  /** 0 takes a free one. */
  readonly port: number
  readonly unixSocket?: string | undefined
  readonly tls?:
    | {
        readonly certFile: string
        readonly keyFile: string
        /** Authorities of client certificates; clients are asked for one when it is there. */
        readonly clientCaFile?: string | undefined
      }
    | undefined
  /** Lets it listen beyond loopback without TLS of its own. */
  readonly behindTlsProxy: boolean
  /** The URL before `/v1` that clients use, which their proofs of possession name; that of `Host` when absent. */
  readonly publicUrl?: URL | undefined
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

/** An Entra that is not the public cloud's. */
interface AuthorityConfig {
  readonly authorityHost?: string | undefined
  readonly disableInstanceDiscovery?: boolean | undefined
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

/** A caller that is known by its client certificate, or by the Unix socket it came over. */
export type ConnectionCaller = CallerName & ConnectionRule

export type CallerConfig = KeyCaller | JwtCaller | ConnectionCaller

/** All that a connector is told. File names are as written. */
export interface ConnectorConfig extends DeclaredConfig {
  readonly listen: ListenConfig
  /** Who issues what `policy` and `tokens` grant; connectors have identities of their own. */
  readonly identity?: IdentityConfig | undefined
  /** Where identities sign in that name no authority of their own. */
  readonly authority?: AuthorityConfig | undefined
  /** The endpoint suffix of the cloud: `core.windows.net`. */
  readonly cloud: string
  /** PEM of authorities to trust beside the system's, for Entra and storage. */
  readonly caFile?: string | undefined
  readonly accounts: readonly AccountConfig[]
  readonly callers: readonly CallerConfig[]
  readonly policy: readonly PolicyRule[]
  /** What is granted beyond storage. */
  readonly tokens: readonly TokenRule[]
  /** Where clusters, registries and containers are looked up; nowhere when absent. */
  readonly management?: ManagementConfig | undefined
  /** Registries that are reached elsewhere or otherwise than at their names. */
  readonly registries: readonly RegistryConfig[]
  /** Where decisions are written: a file's name, or `stdout`; the state, or else stdout when absent. */
  readonly audit?: string | undefined
  /** Whether a line of the audit file is on the disk, not only with the kernel, before its credential leaves. */
  readonly auditSync: boolean
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
    tls: z
      .strictObject({ certFile: text, keyFile: text, clientCaFile: text.optional() })
      .optional(),
    behindTlsProxy: z.boolean().default(false),
    publicUrl: httpsUrl.optional(),
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
const callerName = text.regex(/^[\w.:@-]{1,64}$/, 'must be letters, digits and .:@_-')
const keySha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits')
const caller = z
  .strictObject({
    name: callerName,
    admin: z.boolean().optional(),
    keySha256: keySha256.optional(),
    jwt: jwt.optional(),
    certificate: certificateNames.optional(),
    unixSocket: z.literal(true).optional(),
  })
  .transform((value, context): CallerConfig => {
    const { name, admin, keySha256, jwt, certificate, unixSocket } = value
    const proofs = [keySha256, jwt, certificate, unixSocket].filter((each) => each !== undefined)
    const common = admin === undefined ? { name } : { name, admin }
    if (proofs.length === 1) {
      if (keySha256 !== undefined) return { ...common, keySha256 }
      if (jwt !== undefined) return { ...common, jwt }
      return certificate === undefined ? { ...common, unixSocket } : { ...common, certificate }
    }
    const message = 'give one of keySha256, jwt, certificate and unixSocket'
    context.addIssue({ code: 'custom', message })
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
    onUnscopable: z.enum(['deny', 'sign']).default('deny'),
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
    identity: identity.optional(),
    authority: z
      .strictObject({
        authorityHost: httpsUrl.transform((url) => url.href).optional(),
        disableInstanceDiscovery: z.boolean().optional(),
      })
      .optional(),
    ...declaredFields,
    allowImplicitIdentity: z.boolean().default(false),
    cloud: text.regex(/^[a-z0-9.-]+$/, 'must be a DNS suffix').default('core.windows.net'),
    caFile: text.optional(),
    accounts: z.array(account).default([]),
    callers: z.array(caller).default([]),
    policy: z.array(rule).default([]),
    tokens: z.array(tokenRule).default([]),
    management: managementConfig.optional(),
    registries: z.array(registryConfig).default([]),
    audit: text.optional(),
    auditSync: z.boolean().default(false),
    requestsPerMinute: z.number().int().min(1).default(600),
  })
  .superRefine(checkReferences)

function checkReferences(
  value: DeclaredConfig & {
    readonly allowImplicitIdentity: boolean
    readonly identity?: IdentityConfig | undefined
    readonly accounts: readonly AccountConfig[]
    readonly callers: readonly CallerConfig[]
    readonly policy: readonly PolicyRule[]
    readonly tokens: readonly TokenRule[]
  },
  context: z.RefinementCtx,
): void {
  const add = (path: (string | number)[], message: string): void =>
    context.addIssue({ code: 'custom', path, message })
  for (const { path, message } of declaredFaults(value)) add([...path], message)
  const { kind } = value.identity ?? {}
  if (
    kind === undefined &&
    (value.policy.length > 0 || value.connectors.length + (value.state === undefined ? 0 : 1) === 0)
  ) {
    add(['identity'], "is missing: rules of 'policy' need it; connectors have their own")
  }
  if ((kind === 'default' || kind === 'managed-identity') && !value.allowImplicitIdentity) {
    add(
      ['identity', 'kind'],
      `'${kind}' lends whatever identity this machine has; set allowImplicitIdentity: true to agree`,
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
    if (flat && each.prefix !== undefined && each.onUnscopable !== 'sign') {
      add(
        ['policy', index, 'prefix'],
        'cannot be enforced on an account with a flat namespace, but blob by blob: onUnscopable: sign',
      )
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
