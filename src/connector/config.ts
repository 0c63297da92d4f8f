import { parseDocument } from 'yaml'
import { z } from 'zod'
import { FileSystemError } from '../errors.ts'
import { isAccountName, isContainerName, prefixFault } from './canonical-scope.ts'
import { isLoopback } from './loopback.ts'
import type { Policy, PolicyRule } from './policy.ts'
import { sortPermissions } from './protocol.ts'

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

/** Who the connector is towards Entra. Long-lived secrets are named by file or variable only. */
export type IdentityConfig = z.output<typeof identity>

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
    permissions: z.array(z.enum(['read', 'list', 'create', 'write', 'delete', 'tag'])).min(1),
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
  })
  .transform(
    ({ maxTtlSeconds, permissions, ...rest }): PolicyRule => ({
      ...rest,
      permissions: sortPermissions(permissions),
      maxTtlMs: maxTtlSeconds * 1000,
    }),
  )

const config = z
  .strictObject({
    listen: listen.prefault({}),
    identity,
    allowImplicitIdentity: z.boolean().default(false),
    cloud: text.regex(/^[a-z0-9.-]+$/, 'must be a DNS suffix').default('core.windows.net'),
    caFile: text.optional(),
    accounts: z.array(account).min(1),
    callers: z.array(caller).min(1),
    policy: z.array(rule),
    audit: text.default('stdout'),
    requestsPerMinute: z.number().int().min(1).default(600),
  })
  .superRefine(checkReferences)

/** Where a configuration text came from, for messages. */
export interface ConfigSource {
  readonly file: string
}

/**
 * Reads the connector's YAML configuration. Throws `EINVAL` that names the file, the key and what
 * is expected there; a secret written into the file is refused without repeating it.
 */
export function parseConnectorConfig(yaml: string, source: ConfigSource): ConnectorConfig {
  const document = parseDocument(yaml)
  const [fault] = document.errors
  if (fault !== undefined) throw configError(source, `is not YAML: ${fault.message.split('\n')[0]}`)
  const value: unknown = document.toJS()
  refuseInlineSecrets(value, [], source)
  const result = config.safeParse(value, { reportInput: false })
  if (result.success) return result.data
  throw configError(source, result.error.issues.map(describeIssue).join('; '))
}

/** What {@link decide} needs of a configuration. */
export function policyOf(value: ConnectorConfig): Policy {
  return { accounts: value.accounts, rules: value.policy }
}

function checkReferences(
  value: {
    readonly allowImplicitIdentity: boolean
    readonly identity: IdentityConfig
    readonly accounts: readonly AccountConfig[]
    readonly callers: readonly CallerConfig[]
    readonly policy: readonly PolicyRule[]
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
  for (const key of ['accounts', 'callers'] as const) {
    const names = value[key].map(({ name }) => name)
    const twice = names.findIndex((name, index) => names.indexOf(name) !== index)
    if (twice >= 0) add([key, twice, 'name'], `'${names[twice]}' is named twice`)
  }
}

const INLINE_SECRETS = /^(clientSecret|secret|password|accountKey|key|privateKey|token|sas)$/i

function refuseInlineSecrets(value: unknown, path: readonly string[], source: ConfigSource): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, child] of Object.entries(value)) {
    const here = [...path, key]
    if (!Array.isArray(value) && INLINE_SECRETS.test(key)) {
      throw configError(
        source,
        `'${here.join('.')}' would hold a secret: name a file or an environment variable instead (clientSecretFile, clientSecretEnv, certificateFile, tls.keyFile, keySha256)`,
      )
    }
    refuseInlineSecrets(child, here, source)
  }
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    const place = issue.path.length === 0 ? 'at the top' : `in '${issue.path.join('.')}'`
    return `${issue.keys.map((key) => `'${key}'`).join(', ')} is not a key ${place}`
  }
  const missing = issue.code === 'invalid_type' && issue.message.includes('undefined')
  return `'${issue.path.join('.')}' ${missing ? 'is missing' : `: ${issue.message}`}`.replace(
    ' :',
    ':',
  )
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

function configError(source: ConfigSource, detail: string): FileSystemError {
  return new FileSystemError('EINVAL', 'connector.config', { detail, path: source.file })
}
