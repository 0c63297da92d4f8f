import { z } from 'zod'
import type { TokenRule } from './token-policy.ts'
import {
  isAudience,
  isClusterName,
  isRegistryName,
  isRepositoryName,
  isStorageAudience,
  registryActions,
} from './token-target.ts'

const common = {
  caller: z.string().min(1),
  maxTtlSeconds: z
    .number()
    .int()
    .min(60)
    .max(24 * 3600)
    .optional(),
}
const audience = z
  .string()
  .refine(
    isAudience,
    'is no audience: an https or api URL or an application id, without a wildcard',
  )
  .refine((text) => !text.endsWith('/.default'), 'is written without /.default')
  .refine((text) => !isStorageAudience(text), "is storage: grant it with a rule of 'policy'")
const cluster = z
  .string()
  .refine(isClusterName, 'is no cluster: GROUP/NAME')
  .transform((name) => name.toLowerCase())
const registry = z
  .string()
  .transform((name) => name.toLowerCase())
  .refine(isRegistryName, 'is no container registry: NAME.azurecr.io')
const repository = z
  .string()
  .refine(
    (name) => name === '*' || isRepositoryName(name.replace(/\/\*$/, '')),
    "is no repository: NAME, or NAME/* for everything below it, or '*'",
  )

/** One rule of `tokens` in the YAML of a configuration. */
export const tokenRule: z.ZodType<TokenRule> = z
  .discriminatedUnion('resource', [
    z.strictObject({
      resource: z.literal('azure-generic'),
      audiences: z.array(audience).min(1),
      ...common,
    }),
    z.strictObject({
      resource: z.literal('kubernetes-cluster'),
      clusters: z.array(cluster).min(1),
      ...common,
    }),
    z.strictObject({
      resource: z.literal('docker-registry'),
      registry,
      repositories: z.array(repository).min(1),
      actions: z.array(z.enum(registryActions)).min(1).default(['pull']),
      ...common,
    }),
  ])
  .transform(({ maxTtlSeconds, ...rest }): TokenRule => {
    const maxTtlMs = maxTtlSeconds === undefined ? undefined : maxTtlSeconds * 1000
    return { ...rest, maxTtlMs }
  })
