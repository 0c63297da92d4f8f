import { type AclEntry, parseAcl } from '../dfs/acl.ts'
import { ownershipOf, parentOf } from '../dfs/ownership.ts'
import type { Container } from '../model/container.ts'
import type { Ownership } from '../model/record.ts'
import type { Need, Right } from './access.ts'
import type { Principal } from './roles.ts'

/*
 * POSIX access control lists as Azure evaluates them for somebody whom no role lets through
 * ("Access control lists in Azure Data Lake Storage"): execute on every directory above, and on the
 * path, or on the directory that holds it, what the operation needs.
 */

const [execute, write, read] = [1, 2, 4]

/** Whether access control lists let the principal do what is needed. */
export function aclGrants(
  principal: Principal,
  need: Need,
  where: { readonly container: Container; readonly listed: string; readonly deep: boolean },
): boolean {
  const { container } = where
  if (need.resource === 'container') {
    return need.right === 'list' && mayList(container, principal, where)
  }
  if (need.resource === 'service') return false
  const path = (need.path ?? '').replace(/\/+$/, '')
  if (!mayReach(container, path, principal)) return false
  return [need.right, ...(need.or ?? [])].some((right) =>
    mayDo(container, path, principal, right, where.deep),
  )
}

/** Whether the list gives the principal all of `wanted` (read 4, write 2, execute 1). */
export function permits(ownership: Ownership, principal: Principal, wanted: number): boolean {
  const entries = parseAcl(ownership.acl).filter((entry) => !entry.isDefault)
  return (permissionOf(entries, ownership, principal) & wanted) === wanted
}

function permissionOf(
  entries: readonly AclEntry[],
  ownership: Ownership,
  principal: Principal,
): number {
  const find = (type: AclEntry['type'], id: string): number | undefined =>
    entries.find((entry) => entry.type === type && entry.id === id)?.permission
  const mask = find('mask', '') ?? 7
  if (ownership.owner === principal.objectId) return find('user', '') ?? 0
  const named = find('user', principal.objectId)
  if (named !== undefined) return named & mask
  const groups = entries.filter(({ type, id }) => {
    const group = id === '' ? ownership.group : id
    return type === 'group' && principal.groups.includes(group)
  })
  if (groups.length > 0) return groups.reduce((sum, { permission }) => sum | permission, 0) & mask
  return (find('other', '') ?? 0) & mask
}

/** Execute on all directories from the root to the one that holds the path. */
function mayReach(container: Container, path: string, principal: Principal): boolean {
  if (path === '') return true
  const parent = parentOf(path)
  return (
    mayReach(container, parent, principal) &&
    permits(ownershipOf(container, parent), principal, execute)
  )
}

function mayDo(
  container: Container,
  path: string,
  principal: Principal,
  right: Right,
  deep: boolean,
): boolean {
  const may = (wanted: number): boolean => permits(ownershipOf(container, path), principal, wanted)
  switch (right) {
    case 'read':
      return may(read)
    case 'write':
    case 'add':
      return exists(container, path) ? may(write) : mayChangeParent(container, path, principal)
    case 'create':
      return mayChangeParent(container, path, principal)
    case 'delete':
      return (
        mayRemove(container, path, principal) && (!deep || mayEmpty(container, path, principal))
      )
    case 'move':
      return mayRemove(container, path, principal)
    case 'list':
      return may(read | execute)
    case 'execute':
      return true
    case 'permissions':
      return ownershipOf(container, path).owner === principal.objectId
    // Only a super-user gives a path away; the rest is not for lists to grant.
    default:
      return false
  }
}

function mayList(
  container: Container,
  principal: Principal,
  { listed, deep }: { readonly listed: string; readonly deep: boolean },
): boolean {
  const directory = listed.replace(/\/+$/, '')
  const start =
    container.paths.get(directory)?.current?.kind === 'directory' ? directory : parentOf(directory)
  if (!mayReach(container, start, principal)) return false
  return everyDirectory(container, start, deep, (path) =>
    permits(ownershipOf(container, path), principal, read | execute),
  )
}

/** Removing a tree takes everything on each of its directories. */
function mayEmpty(container: Container, path: string, principal: Principal): boolean {
  if (container.paths.get(path)?.current?.kind !== 'directory') return true
  return everyDirectory(container, path, true, (each) =>
    permits(ownershipOf(container, each), principal, read | write | execute),
  )
}

function everyDirectory(
  container: Container,
  start: string,
  deep: boolean,
  check: (path: string) => boolean,
): boolean {
  if (!check(start)) return false
  if (!deep) return true
  for (const { name, current } of container.paths.below(start)) {
    if (current?.kind === 'directory' && !check(name)) return false
  }
  return true
}

function mayRemove(container: Container, path: string, principal: Principal): boolean {
  if (!mayChangeParent(container, path, principal)) return false
  const parent = ownershipOf(container, parentOf(path))
  if (parent.sticky !== true) return true
  const owners = [parent.owner, ownershipOf(container, path).owner]
  return owners.includes(principal.objectId)
}

function mayChangeParent(container: Container, path: string, principal: Principal): boolean {
  const parent = nearestDirectory(container, path)
  return permits(ownershipOf(container, parent), principal, write | execute)
}

/** The directory that a path is made in: parents that do not exist come with it. */
function nearestDirectory(container: Container, path: string): string {
  const parent = parentOf(path)
  if (parent === '' || exists(container, parent)) return parent
  return nearestDirectory(container, parent)
}

function exists(container: Container, path: string): boolean {
  return path === '' || container.paths.get(path)?.current !== undefined
}
