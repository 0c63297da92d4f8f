import t from 'tap'
import { scopeFor } from '../../src/credential/endpoints.ts'

const access = { permissions: ['read', 'list'], prefix: 'team/data' } as const
const hostStyle = {
  account: 'acc',
  blob: new URL('https://acc.blob.core.windows.net'),
  dfs: new URL('https://acc.dfs.core.windows.net'),
}
const pathStyle = {
  account: 'acc',
  blob: new URL('https://127.0.0.1:10000/acc'),
  dfs: new URL('https://127.0.0.1:10004/acc/'),
}

t.test('the host tells the service, the path the container', async (t) => {
  const scope = { account: 'acc', container: 'c', ...access }

  for (const [url, endpoints, service] of [
    ['https://acc.blob.core.windows.net/c/a/b?comp=block', hostStyle, 'blob'],
    ['https://acc.blob.core.windows.net/c?restype=container', hostStyle, 'blob'],
    ['https://acc.dfs.core.windows.net/c/a/b', hostStyle, 'dfs'],
    ['https://127.0.0.1:10000/acc/c/a/b', pathStyle, 'blob'],
    ['https://127.0.0.1:10000/acc/c', pathStyle, 'blob'],
    ['https://127.0.0.1:10004/acc/c/a', pathStyle, 'dfs'],
  ] as const) {
    t.same(scopeFor(new URL(url), endpoints, access), { ...scope, service })
  }
})

t.test('the account itself is a scope without container or prefix', async (t) => {
  for (const [url, endpoints] of [
    ['https://acc.blob.core.windows.net/?comp=list', hostStyle],
    ['https://127.0.0.1:10000/acc/?comp=list', pathStyle],
  ] as const) {
    t.same(scopeFor(new URL(url), endpoints, access), {
      account: 'acc',
      service: 'blob',
      permissions: access.permissions,
    })
  }
})

t.test('a container with a percent-encoded name is decoded', async (t) => {
  const url = new URL('https://acc.blob.core.windows.net/%24web/a')

  t.equal(scopeFor(url, hostStyle, access).container, '$web')
})

t.test('a URL of neither endpoint rejects with EACCES', async (t) => {
  for (const [url, endpoints] of [
    ['https://evil.example/c/a?sig=secret', hostStyle],
    ['http://acc.blob.core.windows.net/c/a', hostStyle],
    ['https://acc.blob.core.windows.net.evil.example/c', hostStyle],
    ['https://127.0.0.1:10000/account2/c', pathStyle],
    ['https://127.0.0.1:9999/acc/c', pathStyle],
  ] as const) {
    t.throws(() => scopeFor(new URL(url), endpoints, access), { code: 'EACCES' })
  }
})
