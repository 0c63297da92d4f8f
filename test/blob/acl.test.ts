import t from 'tap'
import {
  formatAcl,
  mergeAcl,
  modeOfPermissions,
  parseAcl,
  permissionsOf,
  withMode,
  withoutAcl,
} from '../../src/blob/acl.ts'

const long = 'user::rwx,user:a:r-x,group::r--,mask::r-x,other::---,default:user::rwx'

void t.test('a list comes back as it was read, in the order of Azure', async (t) => {
  const shuffled = long.split(',').reverse().join(',')

  t.equal(formatAcl(parseAcl(shuffled)), long)
})

void t.test('entries are added, replaced and taken away', async (t) => {
  const entries = parseAcl(long)
  const merged = mergeAcl(entries, parseAcl('user:a:---,user:b:rwx'))

  t.match(formatAcl(merged), 'user:a:---')
  t.match(formatAcl(merged), 'user:b:rwx')
  t.notMatch(formatAcl(withoutAcl(merged, parseAcl('user:a', { keys: true }))), 'user:a')
})

void t.test('a mode goes to the mask where there is one', async (t) => {
  t.equal(permissionsOf(parseAcl(long)), 'rwxr-x---+')
  t.equal(permissionsOf(withMode(parseAcl(long), 0o614)), 'rw---xr--+')
  t.match(formatAcl(withMode(parseAcl(long), 0o614)), 'group::r--')
  const plain = parseAcl('user::rwx,group::r-x,other::---')
  t.equal(permissionsOf(withMode(plain, 0o640), true), 'rw-r----T')
})

void t.test('permissions are bits', async (t) => {
  t.equal(modeOfPermissions('rwxr-x---'), 0o750)
  t.equal(modeOfPermissions('rwxrwxrwt+'), 0o1777)
  t.equal(modeOfPermissions('rw-r--r-T'), 0o1644)
  t.equal(modeOfPermissions('rwx'), undefined)
  t.equal(modeOfPermissions(undefined), undefined)
})

void t.test('what is no list is refused, and the entry named', async (t) => {
  for (const text of ['', 'user::rwz', 'user:rwx', 'nobody::rwx', 'user:a:b:rwx', 'user::rwx,']) {
    t.throws(() => parseAcl(text), { name: 'TypeError', message: /acl: expected entries/ })
  }
})
