import type { AccessTarget, Need, Right } from './access.ts'
import { directoryAsked, segments } from './path-asked.ts'
import {
  authorizationFailure,
  permissionMismatch,
  resourceTypeMismatch,
  serviceMismatch,
} from './refusal.ts'
import type { SasToken } from './sas-token.ts'

/*
 * What a verified signature lets its holder do, by its own letters. Roles of a delegation key's
 * owner are asked elsewhere.
 */

const letters: Readonly<Record<Right, string | undefined>> = {
  read: 'r',
  add: 'a',
  create: 'c',
  write: 'w',
  delete: 'd',
  deleteVersion: 'x',
  permanentDelete: 'y',
  list: 'l',
  tags: 't',
  filterByTags: 'f',
  move: 'm',
  execute: 'e',
  ownership: 'o',
  permissions: 'p',
  setImmutability: 'i',
  delegationKey: undefined,
  account: undefined,
}

/** Throws `StorageError` 403 unless the signature's own fields grant the need. */
export function checkSasNeed(sas: SasToken, need: Need, on: AccessTarget): void {
  if (sas.kind === 'account') {
    checkAccountSas(sas, need)
  } else if (!isAccountInformation(need, on)) {
    checkResource(sas, need, on)
    if (!grants(sas, need)) throw permissionMismatch()
  }
}

/** Get Account Information below a container or blob: any signature for these does. */
export function isAccountInformation(need: Need, { request }: AccessTarget): boolean {
  return (
    need.right === 'account' && need.container !== undefined && need.container === request.container
  )
}

function checkAccountSas(sas: SasToken, need: Need): void {
  if (!sas.services.includes('b')) throw serviceMismatch()
  const type = { service: 's', container: 'c', path: 'o' }[need.resource]
  if (!sas.resourceTypes.includes(type)) throw resourceTypeMismatch()
  // Who may use a container is for keys and roles to say.
  if (need.resource === 'container' && need.right === 'permissions') throw authorizationFailure()
  // Get Account Information: any account signature does.
  if (need.right !== 'account' && !grants(sas, need)) throw permissionMismatch()
}

function grants(sas: SasToken, need: Need): boolean {
  return [need.right, ...(need.or ?? [])].some((right) => {
    const letter = letters[right]
    return letter !== undefined && (sas.permissions ?? '').includes(letter)
  })
}

function checkResource(sas: SasToken, need: Need, on: AccessTarget): void {
  if (need.resource === 'service') throw authorizationFailure()
  if (need.container !== on.request.container) throw permissionMismatch()
  if (need.resource === 'container') {
    checkContainer(sas, need, on)
  } else if (!covers(sas, need.path ?? '', on)) {
    throw permissionMismatch()
  }
}

/** What a list of a container takes, with tags and by them. */
const listing: readonly Right[] = ['list', 'tags', 'filterByTags']

// Properties, rights and life of a container are for keys, account signatures and roles.
function checkContainer(sas: SasToken, need: Need, on: AccessTarget): void {
  if (!listing.includes(need.right)) throw authorizationFailure()
  if (sas.resource === 'c') return
  if (sas.resource !== 'd' || need.right !== 'list') throw permissionMismatch()
  if (!covers(sas, directoryAsked(on.request), on)) throw permissionMismatch()
}

function covers(sas: SasToken, path: string, { request }: AccessTarget): boolean {
  if (sas.resource === 'c') return true
  if (sas.resource === 'd') return isBelow(path, coveredDirectory(sas, request))
  return path === request.path
}

function coveredDirectory(sas: SasToken, request: AccessTarget['request']): readonly string[] {
  return segments(directoryAsked(request)).slice(0, sas.depth ?? 0)
}

function isBelow(path: string, directory: readonly string[]): boolean {
  const own = segments(path)
  return directory.every((segment, index) => own[index] === segment)
}
