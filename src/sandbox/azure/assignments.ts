/** Azure's built-in roles that the stand-ins know. */
export type AzureRole =
  | 'Owner'
  | 'Contributor'
  | 'Reader'
  | 'AcrPull'
  | 'AcrPush'
  | 'Azure Kubernetes Service Cluster User Role'
  | 'Azure Kubernetes Service Cluster Admin Role'
  | 'Azure Kubernetes Service RBAC Reader'

/** A role of a principal, and where it holds. */
export interface AzureAssignment {
  readonly objectId: string
  readonly role: AzureRole
  /** A resource id; the role holds there and below. */
  readonly scope: string
}

const clusters = 'Microsoft.ContainerService/managedClusters'
const registries = 'Microsoft.ContainerRegistry/registries'

/** What each role allows; `data:` marks what is not the management's, and no `*` of it covers. */
const actionsOf: Readonly<Record<AzureRole, readonly string[]>> = {
  Owner: ['*'],
  Contributor: ['*'],
  Reader: ['*/read'],
  AcrPull: [`${registries}/pull/read`],
  AcrPush: [`${registries}/pull/read`, `${registries}/push/write`],
  'Azure Kubernetes Service Cluster User Role': [
    `${clusters}/read`,
    `${clusters}/listClusterUserCredential/action`,
  ],
  'Azure Kubernetes Service Cluster Admin Role': [
    `${clusters}/read`,
    `${clusters}/listClusterUserCredential/action`,
    `${clusters}/listClusterAdminCredential/action`,
  ],
  'Azure Kubernetes Service RBAC Reader': [`data:${clusters}/namespaces/read`],
}

/** Who holds which role; changes hold from the next request on. */
export class AzureAssignments {
  #assignments: readonly AzureAssignment[]

  constructor(assignments: readonly AzureAssignment[]) {
    this.#assignments = assignments
  }

  get all(): readonly AzureAssignment[] {
    return this.#assignments
  }

  /** Puts these in the place of all assignments. */
  replace(assignments: readonly AzureAssignment[]): void {
    this.#assignments = assignments
  }

  /** Whether a role at `resourceId` or above it allows the action. */
  allows(objectId: string, action: string, resourceId: string): boolean {
    return this.#assignments.some(
      (each) =>
        each.objectId === objectId &&
        isAtOrAbove(each.scope, resourceId) &&
        actionsOf[each.role].some((pattern) => matches(pattern, action)),
    )
  }

  /** Whether the principal has any role at `scope`, above it or below it. */
  seesSomething(objectId: string, scope: string): boolean {
    return this.#assignments.some(
      (each) =>
        each.objectId === objectId &&
        (isAtOrAbove(each.scope, scope) || isAtOrAbove(scope, each.scope)),
    )
  }
}

function matches(pattern: string, action: string): boolean {
  if (!pattern.startsWith('*')) return pattern.toLowerCase() === action.toLowerCase()
  return !action.startsWith('data:') && action.toLowerCase().endsWith(pattern.slice(1))
}

function isAtOrAbove(scope: string, resourceId: string): boolean {
  return `${resourceId.toLowerCase()}/`.startsWith(`${scope.toLowerCase().replace(/\/$/, '')}/`)
}
