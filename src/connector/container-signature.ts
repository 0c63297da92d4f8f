import { strict as assert } from 'node:assert'
import {
  ContainerSASPermissions,
  generateBlobSASQueryParameters,
  SASProtocol,
} from '@azure/storage-blob'
import type { Permission, Scope } from '../credential/credential.ts'
import { isContainerName } from './canonical-scope.ts'
import { type DelegationKey, STORAGE_VERSION } from './delegation-keys.ts'

/** The life and the log entry of a signature. */
export interface SignatureOptions {
  readonly startsAtMs: number
  readonly expiresAtMs: number
  /** A GUID that Azure writes into its logs; absent for an emulator, which cannot verify it. */
  readonly correlationId?: string | undefined
}

/**
 * Signs a container for a scope's permissions with a user delegation key. The signature is read
 * back before it is returned: the library widens some odd inputs without a word.
 */
export function signContainer(scope: Scope, key: DelegationKey, options: SignatureOptions): string {
  const { account, container = '' } = scope
  assert(isContainerName(container) && scope.prefix === undefined, 'only containers are signed')
  const permissions = sasPermissions(scope.permissions)
  const { correlationId } = options
  const query = generateBlobSASQueryParameters(
    {
      containerName: container,
      permissions: ContainerSASPermissions.parse(permissions),
      startsOn: new Date(options.startsAtMs),
      expiresOn: new Date(options.expiresAtMs),
      protocol: SASProtocol.Https,
      version: STORAGE_VERSION,
      ...(correlationId === undefined ? {} : { correlationId }),
    },
    key.key,
    account,
  ).toString()
  checkSignature(query, permissions, options)
  return query
}

/** The letters of a container signature, in the order in which Azure wants them. */
export function sasPermissions(permissions: readonly Permission[]): string {
  return [...'rcwdlt'].filter((letter) => permissions.some((p) => LETTERS[p] === letter)).join('')
}

/** `w` includes creating; `c` alone refuses to replace what exists. */
const LETTERS: Record<Permission, string> = {
  read: 'r',
  create: 'c',
  write: 'w',
  delete: 'd',
  list: 'l',
  tag: 't',
}

/** Fields that would widen or redirect a signature, or hide who made it. */
const UNWANTED = ['sdd', 'si', 'ses', 'saoid', 'suoid', 'srt', 'ss']

function checkSignature(query: string, permissions: string, options: SignatureOptions): void {
  const fields = new URLSearchParams(query)
  assert.equal(fields.get('sr'), 'c', 'the signature is for a container')
  assert.equal(fields.get('sp'), permissions, 'the signature has the permissions granted')
  assert.equal(fields.get('spr'), 'https', 'the signature is for https alone')
  assert.equal(fields.get('sv'), STORAGE_VERSION, 'the signature has the version asked for')
  assert.equal(
    fields.get('scid') ?? undefined,
    options.correlationId,
    'the signature names its audit record',
  )
  assert(Date.parse(fields.get('se') ?? '') <= options.expiresAtMs, 'the signature ends in time')
  for (const name of UNWANTED) assert(!fields.has(name), `the signature has no ${name}`)
}
