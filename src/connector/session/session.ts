import { z } from 'zod'
import type { Scope } from '../../credential/credential.ts'
import { scopeSchema } from '../protocol-schema.ts'
import { registryActions, type TokenTarget } from '../token-target.ts'

/** What a caller opened: what it may ask for, and with which key. */
export interface SessionBody {
  /** The caller's name; policy is asked about it each time. */
  readonly caller: string
  /** The connector's id; any that policy gives the caller when absent. */
  readonly connector?: string | undefined
  /** The most that is asked for in it; canonical. */
  readonly grants: readonly Scope[]
  /** What is no storage, and may be asked for too. */
  readonly targets: readonly TokenTarget[]
  /** The thumbprint of the key that every request is signed with (RFC 7638). */
  readonly jkt: string
  readonly openedAtMs: number
  readonly accessHash: string
  readonly accessExpiresAtMs: number
  /** Refresh tokens that were used, the last ones: seen again, they end the session. */
  readonly usedRefreshHashes: readonly string[]
}

const target: z.ZodType<TokenTarget> = z.discriminatedUnion('resource', [
  z.strictObject({ resource: z.literal('azure-generic'), audience: z.string() }),
  z.strictObject({ resource: z.literal('kubernetes-cluster'), cluster: z.string() }),
  z.strictObject({
    resource: z.literal('docker-registry'),
    registry: z.string(),
    repositories: z.array(
      z.strictObject({ name: z.string(), actions: z.array(z.enum(registryActions)) }),
    ),
  }),
])

export const sessionBody: z.ZodType<SessionBody> = z.strictObject({
  caller: z.string(),
  connector: z.string().optional(),
  grants: z.array(scopeSchema),
  targets: z.array(target).default([]),
  jkt: z.string(),
  openedAtMs: z.number(),
  accessHash: z.string(),
  accessExpiresAtMs: z.number(),
  usedRefreshHashes: z.array(z.string()),
})
