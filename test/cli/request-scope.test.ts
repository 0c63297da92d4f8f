import { test } from 'tap'
import { PERMISSIONS, requestScopes } from '../../src/cli/request-scope.ts'
import type { HttpRequest } from '../../src/http/handler.ts'

const endpoints = { account: 'acct', blob: new URL('https://acct.blob.core.windows.net') }

function request(operation: string, path: string, headers = {}): HttpRequest {
  return { operation, method: 'PUT', url: new URL(path, endpoints.blob), headers }
}

test('requests that want the same credential get the same scope object', (t) => {
  const scopeOf = requestScopes({ endpoints, access: 'write' })

  const scope = scopeOf(request('blob.put', '/data/one'))

  t.equal(scopeOf(request('blob.put', '/data/two?comp=block')), scope)
  t.same(scope.permissions, PERMISSIONS.write)
  t.not(scopeOf(request('blob.put', '/other/one')), scope)
  t.equal(scopeOf(request('container.create', '/data?restype=container')).container, undefined)
  t.equal(scopeOf(request('container.list', '/?comp=list')).container, undefined)
  t.end()
})

test('the change feed is read and listed, by whoever writes and whatever prefix is theirs', (t) => {
  for (const access of ['read', 'write'] as const) {
    const scopeOf = requestScopes({ endpoints, access, prefix: 'teams/blue' })

    t.same(scopeOf(request('blob.list', '/$blobchangefeed?restype=container&comp=list')), {
      account: 'acct',
      service: 'blob',
      container: '$blobchangefeed',
      permissions: ['read', 'list'],
    })
  }
  t.end()
})

test('tags, owners and access lists want a credential of their own', (t) => {
  const scopeOf = requestScopes({ endpoints, access: 'read' })
  const of = (operation: string, headers = {}) =>
    scopeOf(request(operation, '/data/one', headers)).permissions

  t.same(of('blob.getTags'), ['tag'])
  t.same(of('blob.put', { 'x-ms-tags': 'a=b' }), [...PERMISSIONS.write, 'tag'])
  t.same(of('path.changeAcl'), ['permissions'])
  t.same(of('path.setAccessControl', { 'x-ms-owner': 'me' }), ['ownership'])
  t.same(of('path.setAccessControl', { 'x-ms-acl': 'user::rwx' }), ['permissions'])
  t.same(of('path.setAccessControl', { 'x-ms-group': 'us', 'x-ms-permissions': '0750' }), [
    'ownership',
    'permissions',
  ])
  t.same(of('blob.get'), ['read', 'list'])
  t.end()
})

test('who reads by tags asks for them with all else, but for the kind of account', (t) => {
  const scopeOf = requestScopes({ endpoints, access: 'readTags' })
  const of = (operation: string) => scopeOf(request(operation, '/data/one')).permissions

  for (const each of ['blob.head', 'blob.list', 'blob.get']) t.same(of(each), PERMISSIONS.readTags)
  t.same(of('blob.getTags'), ['tag'])
  t.same(of('account.info'), ['read', 'list'])
  t.end()
})

test('where each blob is asked for by itself nobody may list', (t) => {
  const scopeOf = requestScopes({ endpoints, access: 'read', perBlob: true })

  const scope = scopeOf(request('blob.get', '/data/a/one'))

  t.equal(scope.blob, 'a/one')
  t.same(scope.permissions, ['read'])
  t.end()
})
