import { z } from 'zod'
import type { Permission } from '../../credential/credential.ts'
import { isAccountName, isContainerName, prefixFault } from '../canonical-scope.ts'
import { type CredentialKind, permissionNames } from '../protocol.ts'
import {
  isAudience,
  isClusterName,
  isRegistryName,
  isRepositoryName,
  isStorageAudience,
  type RegistryAction,
  registryActions,
} from '../token-target.ts'

/** A container, a directory in one, or a whole account; {@link parseBlobResource} reads `id`. */
export interface BlobResource {
  readonly type: 'blob-container'
  readonly id: string
  readonly permissions: readonly Permission[]
  /** The kinds that may be given, the preferred one first. */
  readonly credentials: readonly CredentialKind[]
  readonly maxTtlSeconds: number
  /** What happens where Azure cannot limit a credential to the path. */
  readonly onUnscopable: 'deny' | 'sign'
  /** Refuses a bearer that lives longer than `maxTtlSeconds`. */
  readonly enforceBearerTtl: boolean
  /** Looked up in the configuration's accounts when absent. */
  readonly hierarchicalNamespace?: boolean | undefined
}

/** An audience of Entra: `id` without `/.default`. */
export interface GenericResource {
  readonly type: 'azure-generic'
  readonly id: string
  readonly maxTtlSeconds?: number | undefined
}

/** An AKS cluster: `group/name`, in lower case. */
export interface ClusterResource {
  readonly type: 'kubernetes-cluster'
  readonly id: string
  readonly maxTtlSeconds?: number | undefined
}

/** Repositories of a container registry: `id` is its host. */
export interface RegistryResource {
  readonly type: 'docker-registry'
  readonly id: string
  /** Names; one that ends in `/*` stands for everything below, `*` for every repository. */
  readonly repositories: readonly string[]
  readonly permissions: readonly RegistryAction[]
  readonly maxTtlSeconds?: number | undefined
}

/** What a connector gives access to. */
export type Resource = BlobResource | GenericResource | ClusterResource | RegistryResource
/** The kinds of resources. */
export type ResourceType = Resource['type']
/** The resource of one kind. */
export type ResourceOf<T extends ResourceType> = Extract<Resource, { type: T }>

/** Every type of resource. */
export const resourceTypes = [
  'blob-container',
  'azure-generic',
  'kubernetes-cluster',
  'docker-registry',
] as const

/** A container, or a directory in it, named by one URL. */
export interface BlobPlace {
  readonly account: string
  /** `*` for the account itself and with it every container. */
  readonly container: string
  readonly prefix: string | undefined
}

/**
 * Reads `abfss://CONTAINER@ACCOUNT.dfs.SUFFIX[/PATH]`, or `https://ACCOUNT.blob.SUFFIX` for a whole
 * account; `undefined` for everything else, escapes and dot segments among it.
 */
export function parseBlobResource(id: string): BlobPlace | undefined {
  const directory = /^abfss:\/\/([^@/]+)@([a-z0-9]+)\.dfs\.[a-z0-9.-]+(?:\/(.*))?$/s.exec(id)
  if (directory !== null) return blobPlace(directory[2], directory[1], directory[3])
  const account = /^https:\/\/([a-z0-9]+)\.blob\.[a-z0-9.-]+\/?$/.exec(id)
  return account === null ? undefined : blobPlace(account[1], '*', undefined)
}

function blobPlace(account = '', container = '', path = ''): BlobPlace | undefined {
  const prefix = path.replace(/\/$/, '')
  const named = isAccountName(account) && (container === '*' || isContainerName(container))
  if (!named || (prefix !== '' && prefixFault(prefix) !== undefined)) return undefined
  return { account, container, prefix: prefix === '' ? undefined : prefix }
}

const ttlSeconds = z.number().int().min(60)
const blobContainer = z.strictObject({
  type: z.literal('blob-container'),
  id: z
    .string()
    .max(2048)
    .refine(
      (id) => parseBlobResource(id) !== undefined,
      'is neither abfss://CONTAINER@ACCOUNT.dfs.SUFFIX[/PATH], decoded, nor https://ACCOUNT.blob.SUFFIX',
    ),
  permissions: z.array(z.enum(permissionNames)).min(1),
  credentials: z
    .array(z.enum(['sas', 'bearer']))
    .min(1)
    .default(['sas']),
  maxTtlSeconds: ttlSeconds.max(6 * 3600).default(3600),
  onUnscopable: z.enum(['deny', 'sign']).default('deny'),
  enforceBearerTtl: z.boolean().default(false),
  hierarchicalNamespace: z.boolean().optional(),
})
const tokenTtl = { maxTtlSeconds: ttlSeconds.max(24 * 3600).optional() }
const azureGeneric = z.strictObject({
  type: z.literal('azure-generic'),
  id: z
    .string()
    .refine(isAudience, 'is no audience: an https or api URL or an application id, no wildcard')
    .refine((id) => !isStorageAudience(id), 'is storage: name a blob-container')
    .refine((id) => !id.endsWith('/.default'), 'is written without /.default'),
  ...tokenTtl,
})
const kubernetesCluster = z.strictObject({
  type: z.literal('kubernetes-cluster'),
  id: z.string().refine(isClusterName, 'is no cluster: GROUP/NAME').toLowerCase(),
  ...tokenTtl,
})
const dockerRegistry = z.strictObject({
  type: z.literal('docker-registry'),
  id: z.string().toLowerCase().refine(isRegistryName, 'is no container registry: NAME.azurecr.io'),
  repositories: z
    .array(
      z
        .string()
        .refine(
          (name) => name === '*' || isRepositoryName(name.replace(/\/\*$/, '')),
          "is no repository: NAME, or NAME/* for everything below it, or '*'",
        ),
    )
    .min(1),
  permissions: z.array(z.enum(registryActions)).min(1).default(['pull']),
  ...tokenTtl,
})

/** One thing that a connector reaches, and the most that it gives for it. */
export const resourceSchema: z.ZodType<Resource> = z.discriminatedUnion('type', [
  blobContainer,
  azureGeneric,
  kubernetesCluster,
  dockerRegistry,
])
