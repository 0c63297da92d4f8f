import { createHash } from 'node:crypto'
import { z } from 'zod'

/*
 * The shapes of ZenML's REST API for service connectors, as far as its client reads them. Names and
 * nesting are ZenML's; `expires_at` is UTC without a zone.
 */

/** Identity of a caller's view of one account, or of what a caller registered. */
export interface ZenmlConnector {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly account: string
  readonly resourceTypes: readonly string[]
  /** `az://container` when it is for one container alone. */
  readonly resourceId: string | undefined
  readonly labels: Readonly<Record<string, string>>
}

const authMethod = z.object({
  name: z.string(),
  auth_method: z.string(),
  description: z.string(),
  config_schema: z.record(z.string(), z.unknown()),
  min_expiration_seconds: z.number().nullable(),
  max_expiration_seconds: z.number().nullable(),
  default_expiration_seconds: z.number().nullable(),
})
const resourceType = z.object({
  name: z.string(),
  resource_type: z.string(),
  description: z.string(),
  auth_methods: z.array(z.string()),
  supports_instances: z.boolean(),
  logo_url: z.string().nullable(),
  emoji: z.string().nullable(),
})
/** `ServiceConnectorTypeModel`. */
export const zenmlConnectorType: z.ZodType = z.object({
  name: z.string(),
  connector_type: z.string(),
  description: z.string(),
  supports_auto_configuration: z.boolean(),
  auth_methods: z.array(authMethod),
  resource_types: z.array(resourceType),
  logo_url: z.string().nullable(),
  emoji: z.string().nullable(),
  docs_url: z.string().nullable(),
  sdk_docs_url: z.string().nullable(),
  local: z.boolean(),
  remote: z.boolean(),
})
/** `ServiceConnectorResponse`. */
export const zenmlConnector: z.ZodType = z.object({
  id: z.string(),
  name: z.string(),
  body: z.object({
    created: z.string(),
    updated: z.string(),
    user_id: z.string().nullable(),
    description: z.string(),
    connector_type: zenmlConnectorType,
    auth_method: z.string(),
    resource_types: z.array(z.string()),
    resource_id: z.string().nullable(),
    supports_instances: z.boolean(),
    expires_at: z.string().nullable(),
    expires_skew_tolerance: z.number().nullable(),
  }),
  metadata: z.object({
    configuration: z.object({ storage_account: z.string() }),
    expiration_seconds: z.number().nullable(),
    labels: z.record(z.string(), z.string()),
  }),
})
/** `ServiceConnectorResourcesModel`. */
export const zenmlResources: z.ZodType = z.object({
  id: z.string().nullable(),
  name: z.string().nullable(),
  // The whole type: for a mere name the client would try everything with its own identity.
  connector_type: zenmlConnectorType,
  error: z.string().nullable(),
  resources: z.array(
    z.object({
      resource_type: z.string(),
      resource_ids: z.array(z.string()).nullable(),
      error: z.string().nullable(),
    }),
  ),
})

/** `ServiceConnectorRequest`, without what a connector's operator decides. */
export interface ZenmlRequest {
  readonly name: string
  readonly connector_type: unknown
  readonly description: string
  readonly auth_method: string
  readonly resource_types: readonly string[]
  readonly resource_id?: string | null | undefined
  readonly configuration: Readonly<Record<string, unknown>>
  readonly labels: Readonly<Record<string, string>>
}

/** Takes it; members that a later ZenML adds are left out. */
export const zenmlRequest: z.ZodType<ZenmlRequest> = z.object({
  name: z.string().regex(/^[\w .-]{1,100}$/),
  connector_type: z.unknown(),
  description: z.string().max(1000).default(''),
  auth_method: z.string(),
  resource_types: z.array(z.string()).max(8).default([]),
  resource_id: z.string().max(300).nullish(),
  configuration: z.record(z.string(), z.unknown()).default({}),
  labels: z.record(z.string(), z.string()).default({}),
})

/** The only type of connector there is, as ZenML's clients list it. */
export const azureConnectorType: unknown = {
  name: 'Azure, by abfs',
  connector_type: 'azure',
  description:
    'Storage of an abfs connector. No secret reaches the client: run it beside `abfs exec`.',
  supports_auto_configuration: false,
  auth_methods: [
    {
      name: 'The identity of the connector',
      auth_method: 'implicit',
      description: 'The client asks the abfs agent beside it for short-lived tokens.',
      config_schema: {
        type: 'object',
        properties: { storage_account: { type: 'string', title: 'Storage account' } },
        required: ['storage_account'],
      },
      min_expiration_seconds: null,
      max_expiration_seconds: null,
      default_expiration_seconds: null,
    },
  ],
  resource_types: [
    {
      name: 'Azure Blob Storage container',
      resource_type: 'blob-container',
      description: 'A container that the policy of the connector grants.',
      auth_methods: ['implicit'],
      supports_instances: true,
      logo_url: null,
      emoji: ':package:',
    },
  ],
  logo_url: null,
  emoji: null,
  docs_url: null,
  sdk_docs_url: null,
  local: false,
  remote: true,
}

/** The body that describes a connector, as a list, a registration and `…/client` give it. */
export function connectorBody(
  connector: ZenmlConnector,
  resourceId: string | undefined = connector.resourceId,
): unknown {
  const { id, name, description, account, resourceTypes, labels } = connector
  return {
    id,
    name,
    body: {
      created: zenmlEpoch,
      updated: zenmlEpoch,
      user_id: null,
      description,
      connector_type: azureConnectorType,
      auth_method: 'implicit',
      resource_types: resourceTypes,
      resource_id: resourceId ?? null,
      supports_instances: true,
      // The client holds nothing that ends: its tokens are the agent's to renew.
      expires_at: null,
      expires_skew_tolerance: null,
    },
    metadata: { configuration: { storage_account: account }, expiration_seconds: null, labels },
  }
}

/** The configuration has no time of its own. */
export const zenmlEpoch = '2026-01-01T00:00:00'

/** A UUID that is the same whenever it is made of the same words (RFC 9562, version 8). */
export function stableId(...words: readonly string[]): string {
  const hex = createHash('sha256').update(JSON.stringify(words)).digest('hex')
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `a${hex.slice(17, 20)}`,
  ]
  return [...parts, hex.slice(20, 32)].join('-')
}
