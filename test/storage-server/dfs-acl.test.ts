import fc from 'fast-check'
import t from 'tap'
import {
  type AclEntry,
  completeAcl,
  formatAcl,
  modifyAcl,
  parseAcl,
  parseAclKeys,
  removeFromAcl,
} from '../../src/storage-server/dfs/acl.ts'
import { ownershipOfChild } from '../../src/storage-server/dfs/ownership.ts'
import {
  aclOfMode,
  formatPermissions,
  parsePermissions,
  parseUmask,
  withMode,
} from '../../src/storage-server/dfs/permissions.ts'

const invalid = { status: 400, code: 'InvaldAccessControlList' }
const base = 'user::rwx,group::r-x,other::---'
const owner = { owner: 'o', group: 'g' }

function complete(text: string, on: 'file' | 'directory' = 'directory'): string {
  return formatAcl(completeAcl(parseAcl(text), on))
}

t.test('a list is written in the order of Azure', async (t) => {
  const text = 'default:other::--x,other::r--,mask::rwx,group:g:-w-,group::r-x,user:u:r--,user::rwx'
  t.equal(
    formatAcl(parseAcl(text)),
    'user::rwx,user:u:r--,group::r-x,group:g:-w-,mask::rwx,other::r--,default:other::--x',
  )
  t.strictSame(parseAcl('access:user::rwx'), parseAcl('user::rwx'), 'a scope may be named')
})

t.test('what is no list is 400', async (t) => {
  const wrong = [
    '',
    'asdf',
    'user::rw',
    'user::rwxx',
    'user::xwr',
    'users::rwx',
    'mask:u:rwx',
    'other:u:rwx',
    'user:rwx',
    'default:default:user::rwx',
    'user::rwx,user::r--',
    'user::rwx,',
  ]
  for (const text of wrong) {
    t.throws(() => parseAcl(text), invalid, text)
  }
})

t.test('owner, group and other must be there', async (t) => {
  for (const text of ['user::rwx,group::rwx', 'user::rwx,other::r--', 'group::r--,other::r--']) {
    t.throws(() => complete(text), invalid, text)
  }
  t.throws(() => complete(`${base},default:user::rwx`), invalid, 'for default as well')
})

t.test('a file has no default entries', async (t) => {
  t.throws(() => complete(`${base},default:${base.replaceAll(',', ',default:')}`, 'file'), invalid)
})

t.test('more than 32 entries of a kind are refused', async (t) => {
  const named = (count: number) =>
    Array.from({ length: count }, (_, at) => `user:u${at}:r--`).join(',')
  t.ok(complete(`${base},${named(28)}`))
  t.throws(() => complete(`${base},${named(33)}`), invalid)
})

t.test('named entries bring a mask: the union of the group class', async (t) => {
  t.match(complete(`${base},user:u:-w-`), /mask::rwx/)
  t.match(complete(`${base},user:u:-w-,mask::r--`), /mask::r--/, 'unless one is given')
  t.notMatch(complete(base), /mask/)
})

t.test('modify replaces and adds, and works the mask out again', async (t) => {
  const before = parseAcl(complete('user::rwx,group::r--,other::---,user:u:r--'))
  t.equal(
    formatAcl(modifyAcl(before, parseAcl('user:u:rwx,user:v:---'), 'directory')),
    'user::rwx,user:u:rwx,user:v:---,group::r--,mask::rwx,other::---',
  )
  t.match(formatAcl(modifyAcl(before, parseAcl('user:u:rwx,mask::--x'), 'file')), /mask::--x/)
})

t.test('a first default entry brings owner, group and other along', async (t) => {
  t.equal(
    formatAcl(modifyAcl(parseAcl(base), parseAcl('default:user:u:r--'), 'directory')),
    `${base},default:user::rwx,default:user:u:r--,default:group::r-x,default:mask::r-x,default:other::---`,
  )
  t.equal(formatAcl(modifyAcl(parseAcl(base), parseAcl('default:user:u:r--'), 'file')), base)
})

t.test('remove takes named entries away, with the mask that only they needed', async (t) => {
  const before = parseAcl(complete(`${base},user:u:rwx`))
  t.equal(formatAcl(removeFromAcl(before, parseAclKeys('user:u'), 'file')), base)
  t.equal(formatAcl(removeFromAcl(before, parseAclKeys('user:nobody'), 'file')), formatAcl(before))
  t.throws(() => removeFromAcl(before, parseAclKeys('user:'), 'file'), invalid, 'the owner stays')
})

t.test('permissions are read as octal and as letters', async (t) => {
  t.equal(parsePermissions('0750'), 0o750)
  t.equal(parsePermissions('750'), 0o750)
  t.equal(parsePermissions('1777'), 0o1777)
  t.equal(parsePermissions('rwxr-x---'), 0o750)
  t.equal(parsePermissions('rwxr-x--t'), 0o1751)
  t.equal(parsePermissions('rwxr-x--T'), 0o1750)
  t.equal(parseUmask('0027'), 0o027)
  for (const text of ['', '888', '07777', 'rwx', 'rwxrwxrwz', '-1']) {
    t.throws(() => parsePermissions(text), { status: 400, code: 'InvalidHeaderValue' }, text)
  }
})

t.test('the group bits show the mask, and changing them changes the mask', async (t) => {
  const acl = parseAcl(complete(`${base},user:u:rwx`))
  t.equal(formatPermissions(acl), 'rwxrwx---+')
  t.equal(formatAcl(withMode(acl, 0o741)), 'user::rwx,user:u:rwx,group::r-x,mask::r--,other::--x')
  t.equal(formatPermissions(parseAcl(base)), 'rwxr-x---')
  t.equal(formatPermissions(parseAcl(base), true), 'rwxr-x--T')
})

t.test('any bits come back as they went in', async () => {
  const mode = fc.integer({ min: 0, max: 0o777 })
  const roundTrip = fc.property(
    mode,
    (bits) => parsePermissions(formatPermissions(aclOfMode(bits))) === bits,
  )
  fc.assert(roundTrip)
})

t.test('any complete list comes back as it went in', async () => {
  const permission = fc.integer({ min: 0, max: 7 })
  const ids = fc.uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,8}$/), { maxLength: 5 })
  const roundTrip = fc.property(permission, permission, ids, (user, group, named) => {
    const entries: AclEntry[] = [
      ...aclOfMode(user * 64 + group * 8),
      ...named.map((id) => ({ isDefault: false, type: 'user' as const, id, permission: group })),
    ]
    const text = formatAcl(completeAcl(entries, 'file'))
    return formatAcl(completeAcl(parseAcl(text), 'file')) === text
  })
  fc.assert(roundTrip)
})

t.test('a child without inheritance has its mode without the umask', async (t) => {
  const parent = { ...owner, acl: base }
  const acl = (kind: 'file' | 'directory', rights = {}) =>
    ownershipOfChild(parent, { kind, maker: 'm', ...rights }).acl
  t.equal(acl('directory'), 'user::rwx,group::r-x,other::---')
  t.equal(acl('file'), 'user::rw-,group::r--,other::---')
  t.equal(acl('file', { umask: 0 }), 'user::rw-,group::rw-,other::rw-')
  t.equal(acl('file', { mode: 0o777, umask: 0o022 }), 'user::rwx,group::r-x,other::r-x')
})

t.test('a child belongs to its maker and to the group of its parent', async (t) => {
  const child = ownershipOfChild({ ...owner, acl: base }, { kind: 'file', maker: 'm' })
  t.match(child, { owner: 'm', group: 'g' })
})

t.test('default entries become those of a child, and umask does not matter', async (t) => {
  const acl = complete(
    `${base},default:user::rwx,default:user:u:r-x,default:group::r--,default:other::---`,
  )
  const parent = { ...owner, acl }
  const access = 'user::rwx,user:u:r-x,group::r--,mask::r-x,other::---'
  const file = ownershipOfChild(parent, { kind: 'file', maker: 'm', umask: 0o777 })
  t.equal(file.acl, access)
  const directory = ownershipOfChild(parent, { kind: 'directory', maker: 'm' })
  t.equal(directory.acl, `${access},default:${access.replaceAll(',', ',default:')}`)
  const narrow = ownershipOfChild(parent, { kind: 'file', maker: 'm', mode: 0o640 })
  t.equal(narrow.acl, 'user::rw-,user:u:r-x,group::r--,mask::r--,other::---')
})
