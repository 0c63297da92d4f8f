import t from 'tap'
import type { HierarchyStore } from '../../src/blob/hierarchy.ts'
import { MemoryHierarchicalStore } from '../../src/blob/memory-hierarchical-blobs.ts'
import { type NamespaceChoice, namespaceKind } from '../../src/blob/namespace-kind.ts'
import { FileSystemError } from '../../src/errors.ts'
import type { HttpRequest, HttpResponse } from '../../src/http/handler.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'

const hierarchy: HierarchyStore = new MemoryHierarchicalStore().hierarchy
const refused = { status: 403, headers: { 'x-ms-error-code': 'AuthorizationPermissionMismatch' } }

type Script = Partial<Record<'account' | 'access' | 'filesystem', Partial<HttpResponse>>>

/** An account that answers each question as the script says; what is not there is not asked. */
function scripted(script: Script, choice?: NamespaceChoice) {
  const asked: string[] = []
  const http = async ({ url }: HttpRequest): Promise<HttpResponse> => {
    const question = questionOf(url)
    asked.push(question)
    const answer = script[question]
    if (answer === undefined) throw new Error(`nobody should ask ${url}`)
    return { status: 200, headers: {}, body: new Uint8Array(0), ...answer }
  }
  const hierarchyOf = namespaceKind({
    http,
    hierarchy,
    choice,
    blobEndpoint: new URL('https://acct.blob.core.windows.net'),
    dfsEndpoint: new URL('https://acct.dfs.core.windows.net'),
  })
  const isHierarchical = async () => (await hierarchyOf('box')) === hierarchy
  return { asked, hierarchyOf, isHierarchical }
}

function questionOf({ host, search }: URL): keyof Script {
  if (host.includes('.blob.')) return 'account'
  return search.includes('getAccessControl') ? 'access' : 'filesystem'
}

void t.test('the account says what its names are', async (t) => {
  for (const [header, expected] of [
    ['true', true],
    ['false', false],
  ] as const) {
    const account = { headers: { 'x-ms-is-hns-enabled': header } }
    t.equal(await scripted({ account }).isHierarchical(), expected)
  }
})

void t.test('it is asked once, however many callers wait', async (t) => {
  const account = { headers: { 'x-ms-is-hns-enabled': 'true' } }
  const { asked, isHierarchical } = scripted({ account })

  await Promise.all([isHierarchical(), isHierarchical(), isHierarchical()])
  await isHierarchical()

  t.same(asked, ['account'])
})

void t.test('where the account is not told, access to the root tells', async (t) => {
  t.equal(await scripted({ account: refused, access: {} }).isHierarchical(), true)
  for (const status of [400, 409]) {
    const flat = { status, headers: { 'x-ms-error-code': 'HierarchicalNamespaceNotEnabled' } }
    t.equal(await scripted({ account: refused, access: flat }).isHierarchical(), false)
  }
})

void t.test('an emulator that does not know the question is asked the next', async (t) => {
  t.equal(await scripted({ account: { status: 400 }, access: {} }).isHierarchical(), true)
  t.equal(await scripted({ account: {}, access: { status: 400 } }).isHierarchical(), false)
})

void t.test('then the file system tells, and without an answer names are flat', async (t) => {
  const filesystem = { headers: { 'x-ms-namespace-enabled': 'true' } }
  const told = scripted({ account: refused, access: refused, filesystem })
  const untold = scripted({ account: refused, access: refused, filesystem: refused })

  t.equal(await told.isHierarchical(), true)
  t.equal(await untold.isHierarchical(), false)
  t.same(told.asked, ['account', 'access', 'filesystem'])
})

void t.test('a missing container is no answer, and not remembered', async (t) => {
  const script: Script = { account: { status: 404 } }
  const { asked, isHierarchical } = scripted(script)

  await t.rejects(isHierarchical(), { code: 'ENOENT' })
  script.account = { headers: { 'x-ms-is-hns-enabled': 'true' } }

  t.equal(await isHierarchical(), true)
  t.equal(asked.length, 2)
})

void t.test('a service out of reach rejects, and is asked again', async (t) => {
  let isDown = true
  const hierarchyOf = namespaceKind({
    hierarchy,
    blobEndpoint: new URL('https://acct.blob.core.windows.net'),
    dfsEndpoint: new URL('https://acct.dfs.core.windows.net'),
    http: async () => {
      if (isDown) throw new FileSystemError('EIO', 'account.info', { retryable: true })
      const headers = { 'x-ms-is-hns-enabled': 'true' }
      return { status: 200, headers, body: new Uint8Array(0) }
    },
  })

  await t.rejects(hierarchyOf('box'), { code: 'EIO' })
  isDown = false

  t.equal(await hierarchyOf('box'), hierarchy)
})

void t.test('a user who knows saves the question', async (t) => {
  t.equal(await scripted({}, true).isHierarchical(), true)
  t.equal(await scripted({}, false).isHierarchical(), false)
})

void t.test('one caller who gives up does not end the question of others', async (t) => {
  const account = { headers: { 'x-ms-is-hns-enabled': 'true' } }
  const { asked, hierarchyOf } = scripted({ account })
  const impatient = new AbortController()

  const first = hierarchyOf('box', { signal: impatient.signal })
  const second = hierarchyOf('box')
  impatient.abort(new Error('enough'))

  await t.rejects(first, { message: 'enough' })
  t.equal(await second, hierarchy)
  t.same(asked, ['account'])
})

void t.test('the local storage server is known for what it is', async (t) => {
  for (const hierarchical of [true, false]) {
    const { store, hierarchyOf } = await hierarchicalServer(t, { settings: { hierarchical } })
    await store.createContainer('box')

    t.equal((await hierarchyOf('box')) !== undefined, hierarchical)
  }
})
