import { z } from 'zod'
import { isLoopback } from '../loopback.ts'
import { type ManagementConfig, managementConfig, registryConfig } from './azure-config.ts'
import { type CallerConfig, caller, callerName, httpsUrl, text } from './callers/caller-config.ts'
import { isAccountName, isContainerName, prefixFault } from './canonical-scope.ts'
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
    readonly listen: ListenConfig
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
  for (const [index, each] of value.callers.entries()) {
    const field = ['unixPeer', 'unixSocket'].find((name) => name in each)
    if (field !== undefined && value.listen.unixSocket === undefined) {
      add(['callers', index, field], 'needs listen.unixSocket: nobody comes over a socket without')
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
