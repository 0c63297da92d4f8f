import t from 'tap'
import type { Need, Right } from '../../src/storage-server/access/access.ts'
import { aclGrants, permits } from '../../src/storage-server/access/acl-check.ts'
import type { Container } from '../../src/storage-server/model/container.ts'
import { emptyContent } from '../../src/storage-server/model/extent.ts'
import type { Ownership, PathRecord } from '../../src/storage-server/model/record.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { addContainer, testAccount } from '../support/storage-request.ts'

const alice = { objectId: 'alice', groups: ['staff'] }

function owned(acl: string, rest: Partial<Ownership> = {}): Ownership {
  return { owner: 'root', group: 'wheel', acl, ...rest }
}

function tree(paths: Readonly<Record<string, Ownership>>): Container {
  const account = testAccount(new FakeClock(), { hierarchical: true })
  addContainer(account, 'box', paths[''] && { rootOwnership: paths[''] })
  const container = account.container('box')
  if (container === undefined) throw new Error('no container')
  for (const [name, ownership] of Object.entries(paths)) {
    if (name !== '') container.paths.put({ name, current: record(name, ownership) })
  }
  return container
}

function record(name: string, ownership: Ownership): PathRecord {
  const base = { etag: '"1"', createdMs: 0, lastModifiedMs: 0, metadata: {}, ownership }
  if (!name.includes('.')) return { ...base, kind: 'directory' }
  return {
    ...base,
    kind: 'blob',
    blobType: 'BlockBlob',
    content: emptyContent,
    headers: {},
    tags: {},
    tier: { name: 'Hot', inferred: true },
    writtenBy: 'dfs',
  }
}

function may(container: Container, right: Right, path?: string, deep = false): boolean {
  const need: Need =
    path === undefined
      ? { right, resource: 'container', container: 'box' }
      : { right, resource: 'path', container: 'box', path }
  return aclGrants(alice, need, { container, listed: path ?? '', deep })
}

t.test('one entry decides: owner, then named user, then groups together, then other', async (t) => {
  const table: readonly (readonly [string, Ownership, number, boolean])[] = [
    [
      'the owner by the owner’s entry',
      owned('user::r--,group::---,other::---', { owner: 'alice' }),
      4,
      true,
    ],
    [
      'the owner in spite of other',
      owned('user::---,group::rwx,other::rwx', { owner: 'alice' }),
      4,
      false,
    ],
    [
      'the owner past the mask',
      owned('user::rwx,group::---,mask::---,other::---', { owner: 'alice' }),
      7,
      true,
    ],
    ['a named user', owned('user::---,user:alice:rw-,group::---,mask::rwx,other::---'), 6, true],
    [
      'a named user under the mask',
      owned('user::---,user:alice:rw-,group::---,mask::r--,other::rwx'),
      2,
      false,
    ],
    ['the owning group', owned('user::---,group::r-x,other::---', { group: 'staff' }), 5, true],
    ['a named group', owned('user::---,group::---,group:staff:r-x,mask::r-x,other::---'), 5, true],
    [
      'two groups together',
      owned('user::---,group::r--,group:staff:--x,mask::rwx,other::---', { group: 'staff' }),
      5,
      true,
    ],
    [
      'a group in spite of other',
      owned('user::---,group::---,other::rwx', { group: 'staff' }),
      4,
      false,
    ],
    ['other', owned('user::---,group::---,other::r--'), 4, true],
    ['other under the mask', owned('user::---,group::---,mask::---,other::rwx'), 4, false],
    [
      'not by default entries',
      owned(
        'user::---,group::---,other::---,default:user::rwx,default:user:alice:rwx,default:group::rwx,default:other::rwx',
      ),
      4,
      false,
    ],
  ]
  for (const [name, ownership, wanted, expected] of table) {
    t.equal(permits(ownership, alice, wanted), expected, name)
  }
})

const [open, closed, through, readable] = [
  owned('user::rwx,group::rwx,other::rwx'),
  owned('user::rwx,group::rwx,other::---'),
  owned('user::rwx,group::rwx,other::--x'),
  owned('user::rwx,group::rwx,other::r--'),
]

t.test('every directory above has to let through', async (t) => {
  t.ok(
    may(
      tree({ '': through, a: through, 'a/b': through, 'a/b/f.txt': readable }),
      'read',
      'a/b/f.txt',
    ),
  )
  for (const barred of ['', 'a', 'a/b']) {
    const paths = {
      '': through,
      a: through,
      'a/b': through,
      'a/b/f.txt': readable,
      [barred]: closed,
    }
    t.notOk(may(tree(paths), 'read', 'a/b/f.txt'), barred)
  }
})

t.test('what each operation needs of the path and of its directory', async (t) => {
  const wx = owned('user::rwx,group::rwx,other::-wx')
  const writable = owned('user::rwx,group::rwx,other::-w-')
  const mine = owned('user::---,group::---,other::---', { owner: 'alice' })
  const table: readonly (readonly [Right, string, Record<string, Ownership>, boolean])[] = [
    ['read', 'd/f.txt', { d: through, 'd/f.txt': readable }, true],
    ['read', 'd/f.txt', { d: through, 'd/f.txt': writable }, false],
    ['write', 'd/f.txt', { d: through, 'd/f.txt': writable }, true],
    ['write', 'd/f.txt', { d: open, 'd/f.txt': readable }, false],
    ['add', 'd/f.txt', { d: through, 'd/f.txt': writable }, true],
    ['write', 'd/new.txt', { d: wx }, true],
    ['write', 'd/new.txt', { d: through }, false],
    ['create', 'd/new.txt', { d: wx }, true],
    ['create', 'd/e/new.txt', { d: wx }, true],
    ['create', 'd/new.txt', { d: through }, false],
    ['delete', 'd/f.txt', { d: wx, 'd/f.txt': closed }, true],
    ['delete', 'd/f.txt', { d: through, 'd/f.txt': open }, false],
    ['move', 'd/f.txt', { d: wx, 'd/f.txt': closed }, true],
    ['move', 'd/f.txt', { d: readable, 'd/f.txt': open }, false],
    ['execute', 'd/f.txt', { d: through, 'd/f.txt': closed }, true],
    ['execute', 'd/f.txt', { d: readable, 'd/f.txt': open }, false],
    ['permissions', 'd/f.txt', { d: through, 'd/f.txt': mine }, true],
    ['permissions', 'd/f.txt', { d: open, 'd/f.txt': open }, false],
    ['ownership', 'd/f.txt', { d: open, 'd/f.txt': mine }, false],
    ['tags', 'd/f.txt', { d: open, 'd/f.txt': mine }, false],
  ]
  for (const [right, path, paths, expected] of table) {
    const container = tree({ '': through, ...paths })
    t.equal(
      may(container, right, path),
      expected,
      `${right} ${path} ${JSON.stringify(Object.keys(paths))}`,
    )
  }
})

t.test('in a sticky directory only owners remove and rename', async (t) => {
  const sticky = { ...open, sticky: true }
  const mine = owned('user::---,group::---,other::---', { owner: 'alice' })
  for (const right of ['delete', 'move'] as const) {
    t.notOk(may(tree({ '': through, d: sticky, 'd/f.txt': open }), right, 'd/f.txt'))
    t.ok(may(tree({ '': through, d: sticky, 'd/f.txt': mine }), right, 'd/f.txt'))
    t.ok(
      may(
        tree({ '': through, d: { ...sticky, owner: 'alice' }, 'd/f.txt': open }),
        right,
        'd/f.txt',
      ),
    )
  }
})

t.test('lists need read and execute, deep ones on every directory', async (t) => {
  const listable = owned('user::rwx,group::rwx,other::r-x')
  const paths = { '': listable, d: listable, 'd/e': closed, 'd/f.txt': closed }

  t.ok(may(tree(paths), 'list'))
  t.notOk(may(tree({ ...paths, '': through }), 'list'))
  const need: Need = { right: 'list', resource: 'container', container: 'box' }
  const list = (container: Container, deep: boolean): boolean =>
    aclGrants(alice, need, { container, listed: 'd', deep })
  t.ok(list(tree(paths), false))
  t.notOk(list(tree(paths), true))
  t.ok(list(tree({ ...paths, 'd/e': listable }), true))
  t.notOk(list(tree({ ...paths, '': readable }), false))
})

t.test('removing a tree needs everything on each of its directories', async (t) => {
  const paths = { '': open, d: open, 'd/e': open, 'd/e/f.txt': closed }

  t.ok(may(tree(paths), 'delete', 'd', true))
  t.notOk(may(tree({ ...paths, 'd/e': through }), 'delete', 'd', true))
})

t.test('containers and the service are not for lists to grant', async (t) => {
  const container = tree({ '': open })

  t.notOk(may(container, 'delete'))
  const need: Need = { right: 'list', resource: 'service' }
  t.notOk(aclGrants(alice, need, { container, listed: '', deep: false }))
})
