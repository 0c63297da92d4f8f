/**
 * Access to a prefix of an account with a flat namespace, where no credential of Azure can be limited
 * to it: single blobs are signed one by one, and lists are made by the connector itself.
 */
import { z } from 'zod'
import type { Permission } from '../credential/credential.ts'
import { isAccountName, isContainerName, prefixFault } from './canonical-scope.ts'
import { ConnectorError } from './connector-error.ts'

/** Where blobs are signed, several at once: POST. */
export const SIGN_PATH = '/v1/sign'
/** Where a prefix is listed by the connector: POST. */
export const LIST_PATH = '/v1/list'

/** The longest life of a single blob's signature, milliseconds. */
export const maxSignatureMs: number = 5 * 60_000

/** One blob, by its whole name, and what is to be done with it. */
export interface SignOperation {
  readonly name: string
  readonly permissions: readonly Permission[]
}

/** Blobs of one container. */
export interface SignRequest {
  readonly account: string
  readonly container: string
  readonly operations: readonly SignOperation[]
  /** Says that Azure refused the last ones, so that keys are replaced. */
  readonly refresh?: boolean | undefined
}

/** Their signatures, in the order of the operations. */
export interface SignAnswer {
  readonly signatures: readonly { readonly name: string; readonly query: string }[]
  readonly expiresInMs: number
  readonly auditId: string
}

/** One page of a list, with the service's own parameters. */
export interface ListRequest {
  readonly account: string
  readonly container: string
  readonly prefix: string
  readonly delimiter?: '/' | undefined
  readonly marker?: string | undefined
  /** The name at which the list begins. */
  readonly startFrom?: string | undefined
  readonly maxresults?: number | undefined
  readonly include?: readonly ('metadata' | 'tags')[] | undefined
}

const place = {
  account: z.string().refine(isAccountName, 'is no account name'),
  container: z.string().refine(isContainerName, 'is no container name'),
}
const maxOperations = 256

/** What {@link SIGN_PATH} takes. */
export const signRequest: z.ZodType<SignRequest> = z.strictObject({
  ...place,
  operations: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(1024),
        permissions: z.array(z.enum(['read', 'create', 'write', 'delete', 'tag'])).min(1),
      }),
    )
    .min(1)
    .max(maxOperations),
  refresh: z.boolean().optional(),
})

/** What {@link SIGN_PATH} answers. */
export const signAnswer: z.ZodType<SignAnswer> = z.object({
  signatures: z.array(z.object({ name: z.string(), query: z.string().min(1) })),
  expiresInMs: z.number().int().positive(),
  auditId: z.string(),
})

/** What {@link LIST_PATH} takes; it answers with the service's XML. */
export const listRequest: z.ZodType<ListRequest> = z.strictObject({
  ...place,
  prefix: z.string().max(1024),
  delimiter: z.literal('/').optional(),
  marker: z.string().max(4096).optional(),
  startFrom: z.string().max(1024).optional(),
  maxresults: z.number().int().min(1).max(5000).optional(),
  include: z.array(z.enum(['metadata', 'tags'])).optional(),
})

/** What a list takes of policy: index tags are no caller's who may only list. */
export function listPermissions(list: {
  readonly include?: readonly string[] | undefined
}): Permission[] {
  return list.include?.includes('tags') === true ? ['list', 'tag'] : ['list']
}

/**
 * The directory that a list's prefix stays in: what stands before its last slash. Throws
 * `path_invalid` for a prefix that could be read in two ways.
 */
export function directoryOfPrefix(prefix: string): string | undefined {
  const end = prefix.lastIndexOf('/')
  const directory = prefix.slice(0, Math.max(end, 0))
  const beginning = prefix.slice(end + 1)
  const parts = [...(end === -1 ? [] : [directory]), ...(beginning === '' ? [] : [beginning])]
  const fault = parts.map(prefixFault).find((each) => each !== undefined)
  if (fault !== undefined) {
    throw new ConnectorError('invalid_request', 'path_invalid', {
      detail: `the prefix ${fault}`,
      hint: 'list with a plain, decoded prefix',
    })
  }
  return directory === '' ? undefined : directory
}
