import type { Need, Right } from './access.ts'

/** Azure's roles for data in Blob Storage. */
export type RoleName =
  | 'Storage Blob Data Reader'
  | 'Storage Blob Data Contributor'
  | 'Storage Blob Data Owner'
  | 'Storage Blob Delegator'

/** A role of a principal, or of a group, and where it holds. */
export interface RoleAssignment {
  /** Object id of a user, service principal, managed identity or group. */
  readonly objectId: string
  readonly role: RoleName
  /** All accounts when absent. */
  readonly account?: string | undefined
  /** The whole account when absent. */
  readonly container?: string | undefined
  /** Names below the container must begin with it, as an ABAC condition on the path says. */
  readonly pathPrefix?: string | undefined
}

/** Somebody known by object id. */
export interface Principal {
  readonly objectId: string
  readonly groups: readonly string[]
}

const read: readonly Right[] = ['read', 'list', 'execute']
const contribute: readonly Right[] = [...read, 'write', 'create', 'add', 'delete', 'move']
const own: readonly Right[] = [
  ...contribute,
  'deleteVersion',
  'permanentDelete',
  'tags',
  'filterByTags',
  'ownership',
  'permissions',
  'setImmutability',
  'account',
]

const rightsOf: Readonly<Record<RoleName, readonly Right[]>> = {
  'Storage Blob Data Reader': [...read, 'delegationKey'],
  'Storage Blob Data Contributor': [...contribute, 'delegationKey'],
  'Storage Blob Data Owner': [...own, 'delegationKey'],
  'Storage Blob Delegator': ['delegationKey'],
}

/** Whether the text is the name of a role. */
export function isRoleName(text: string): text is RoleName {
  return Object.hasOwn(rightsOf, text)
}

/** Who holds which role; changes hold from the next request on. */
export class Roles {
  #assignments: readonly RoleAssignment[]

  constructor(assignments: readonly RoleAssignment[] = []) {
    this.#assignments = assignments
  }

  get assignments(): readonly RoleAssignment[] {
    return this.#assignments
  }

  /** Puts these in the place of all assignments. */
  replace(assignments: readonly RoleAssignment[]): void {
    this.#assignments = assignments
  }

  /** Adds one. */
  assign(assignment: RoleAssignment): void {
    this.#assignments = [...this.#assignments, assignment]
  }

  /** Whether a role of the principal, or of one of its groups, grants the need. */
  grant(principal: Principal, need: Need, where: RolePlace): boolean {
    return this.#assignments.some(
      (assignment) =>
        isOf(assignment, principal) &&
        covers(assignment, need, where) &&
        [need.right, ...(need.or ?? [])].some((right) => rightsOf[assignment.role].includes(right)),
    )
  }
}

/** Where a need arises. */
export interface RolePlace {
  readonly account: string
  /** The directory that a list of the container is of. */
  readonly listed: string
}

function isOf(assignment: RoleAssignment, principal: Principal): boolean {
  const { objectId } = assignment
  return objectId === principal.objectId || principal.groups.includes(objectId)
}

function covers(assignment: RoleAssignment, need: Need, where: RolePlace): boolean {
  const { account, container, pathPrefix } = assignment
  if (account !== undefined && account !== where.account) return false
  if (container !== undefined && (need.resource === 'service' || container !== need.container)) {
    return false
  }
  if (pathPrefix === undefined) return true
  if (need.resource === 'path') return (need.path ?? '').startsWith(pathPrefix)
  const isList = need.resource === 'container' && need.right === 'list'
  return isList && `${where.listed}/`.startsWith(pathPrefix)
}
