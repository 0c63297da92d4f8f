import { type ZodType, z } from 'zod'
import type { Manifest } from './manifest.ts'

/** What a stored manifest must look like. */
export const manifestSchema: ZodType<Manifest> = z.object({
  version: z.literal(1),
  generation: z.string().regex(/^[0-9a-f]{32}$/),
  files: z.array(
    z.object({
      name: z.string(),
      sizeBytes: z.number().int().nonnegative(),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      mode: z.number().int().min(0).max(0o7777),
    }),
  ),
  directories: z.array(z.string()),
  links: z.array(z.object({ name: z.string(), target: z.string() })),
})
