import type { Permission } from '../credential/credential.ts'

/** The letters of a signature, in the order in which Azure wants them. */
export function sasPermissions(permissions: readonly Permission[]): string {
  return [...'rcwdltmeop']
    .filter((letter) => permissions.some((p) => LETTERS[p] === letter))
    .join('')
}

/** `w` includes creating; `c` alone refuses to replace what exists. */
const LETTERS: Record<Permission, string> = {
  read: 'r',
  create: 'c',
  write: 'w',
  delete: 'd',
  list: 'l',
  tag: 't',
  move: 'm',
  execute: 'e',
  ownership: 'o',
  permissions: 'p',
}
