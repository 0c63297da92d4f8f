import { z } from 'zod'
import type { Permission } from '../../credential/credential.ts'
import { type CredentialKind, permissionNames } from '../protocol.ts'
import { type RegistryAction, registryActions } from '../token-target.ts'
import { type Auth, declaredAuth, type SubmittedAuth, submittedAuth } from './auth.ts'
import { type Resource, type ResourceType, resourceSchema, resourceTypes } from './resource.ts'

/** What a connector is, without how it is kept. Its secrets are kept apart. */
export interface ConnectorBody {
  readonly name: string
  readonly type: 'azure'
  readonly description: string
  readonly auth: Auth
  readonly resources: readonly Resource[]
  readonly labels: Readonly<Record<string, string>>
}

/** What the API accepts as a new connector. */
export type SubmittedConnector = Omit<ConnectorBody, 'auth'> & { readonly auth: SubmittedAuth }

/** What the API accepts as a change: the fields named are replaced whole. */
export interface ConnectorChange {
  readonly description?: string | undefined
  readonly auth?: SubmittedAuth | undefined
  readonly resources?: readonly Resource[] | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
}

/**
 * Who may use a connector, and for how much of it. A field that is absent limits nothing beyond
 * what the connector's resource says; what is there can only take away.
 */
export interface PolicyBody {
  readonly name: string
  readonly caller: string
  /** The connector's name. */
  readonly connector: string
  /** All of the connector's resources when absent. */
  readonly resource?:
    | { readonly type?: ResourceType | undefined; readonly id?: string | undefined }
    | undefined
  readonly permissions?: readonly Permission[] | undefined
  /** What may be done in repositories of registries. */
  readonly actions?: readonly RegistryAction[] | undefined
  readonly credentials?: readonly CredentialKind[] | undefined
  readonly maxTtlSeconds?: number | undefined
}

/** A caller's key as it is kept: its hash alone. */
export interface KeyBody {
  /** The public part of the key, by which it is found. */
  readonly name: string
  readonly caller: string
  /** argon2id in PHC's format. */
  readonly hash: string
  /** Milliseconds since the Unix epoch; it does not end when absent. */
  readonly expiresAtMs?: number | undefined
  /** The caller may administer connectors, policies and keys, and read the audit log. */
  readonly admin: boolean
}

/** Names of connectors, rules and keys: they stand in paths, tables and logs. */
export const nameSchema: z.ZodType<string> = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]{0,63}$/, 'must be letters, digits, dot, hyphen and underscore')

/** Names of callers; those of platforms have colons and at signs. */
export const callerNameSchema: z.ZodType<string> = z
  .string()
  .regex(/^[\w.:@-]{1,64}$/, 'must be letters, digits and .:@_-')

const labels = z.record(z.string().min(1).max(63), z.string().max(255))
const resources = z.array(resourceSchema).min(1).max(1000)
const fields = {
  name: nameSchema,
  type: z.literal('azure').default('azure'),
  description: z.string().max(1024).default(''),
  resources,
  labels: labels.default({}),
}

/** A connector of the configuration file, and as it is kept. */
export const connectorBody: z.ZodType<ConnectorBody> = z.strictObject({
  ...fields,
  auth: declaredAuth,
})

/** A connector as a caller submits it, secrets included. */
export const submittedConnector: z.ZodType<SubmittedConnector> = z.strictObject({
  ...fields,
  auth: submittedAuth,
})

/** What a caller may change of a connector; what is absent stays. */
export const connectorChange: z.ZodType<ConnectorChange> = z
  .strictObject({ description: z.string().max(1024), auth: submittedAuth, resources, labels })
  .partial()

export const policyBody: z.ZodType<PolicyBody> = z.strictObject({
  name: nameSchema,
  caller: callerNameSchema,
  connector: nameSchema,
  resource: z
    .strictObject({ type: z.enum(resourceTypes).optional(), id: z.string().min(1).optional() })
    .optional(),
  permissions: z.array(z.enum(permissionNames)).min(1).optional(),
  actions: z.array(z.enum(registryActions)).min(1).optional(),
  credentials: z
    .array(z.enum(['sas', 'bearer']))
    .min(1)
    .optional(),
  maxTtlSeconds: z.number().int().min(60).optional(),
})

export const keyBody: z.ZodType<KeyBody> = z.strictObject({
  name: nameSchema,
  caller: callerNameSchema,
  hash: z.string().startsWith('$argon2id$'),
  expiresAtMs: z.number().optional(),
  admin: z.boolean().default(false),
})
