import { z } from 'zod'
import type { RegistryConfig } from './registry-exchange.ts'
import { isRegistryName } from './token-target.ts'

/** Azure Resource Manager, where names are looked up. */
export interface ManagementConfig {
  /** `https://management.azure.com/` when absent. */
  readonly endpoint: URL
  /** The only one that the identity sees when absent. */
  readonly subscriptionId?: string | undefined
}

const httpsUrl = z.string().transform((value, context): URL => {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url?.protocol === 'https:' && url.search === '' && url.username === '') return url
  context.addIssue({ code: 'custom', message: 'must be an https URL without query' })
  return z.NEVER
})

/** `management` in the YAML of a configuration. */
export const managementConfig: z.ZodType<ManagementConfig> = z.strictObject({
  endpoint: httpsUrl.default(new URL('https://management.azure.com/')),
  subscriptionId: z.guid().optional(),
})

/** One of `registries` in the YAML of a configuration. */
export const registryConfig: z.ZodType<RegistryConfig> = z.strictObject({
  name: z
    .string()
    .transform((name) => name.toLowerCase())
    .refine(isRegistryName, 'is no container registry: NAME.azurecr.io'),
  endpoint: httpsUrl.optional(),
  audience: z.enum(['registry', 'management']).default('registry'),
})
