import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inspect } from 'node:util'
import type { TokenCredential } from '@azure/core-auth'
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { DataLakeServiceClient } from '@azure/storage-file-datalake'
import t, { type Test } from 'tap'
import { Agent, request } from 'undici'
import { type Sandbox, type SandboxOptions, startSandbox } from '../../src/sandbox/sandbox.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { blobServiceOf } from '../support/sandbox-clients.ts'

const lake = { name: 'lake', hierarchical: true }
const plain = { name: 'plain' }

interface Subject {
  readonly sandbox: Sandbox
  readonly agent: Agent
  token(scope?: string): Promise<string>
}

async function start(t: Test, options: SandboxOptions = {}): Promise<Subject> {
  const sandbox = await startSandbox({
    account: lake,
    moreAccounts: [plain],
    containers: ['data'],
    ...options,
  })
  const agent = new Agent({ connect: { ca: sandbox.caPem } })
  t.teardown(async () => {
    await agent.close()
    await sandbox.close()
  })
  const token = async (scope = 'https://storage.azure.com/.default'): Promise<string> => {
    const answer = await request(
      new URL(`${sandbox.tenantId}/oauth2/v2.0/token`, sandbox.authorityHost),
      {
        dispatcher: agent,
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({
          grant_type: 'client_credentials',
          client_id: sandbox.clientId,
          client_secret: sandbox.clientSecret,
          scope,
        }).toString(),
      },
    )
    const { access_token: text } = (await answer.body.json()) as { access_token: string }
    return text
  }
  return { sandbox, agent, token }
}

function credentialOf(token: string): TokenCredential {
  return { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) }
}

function lakeOf(sandbox: Sandbox, token: string): DataLakeServiceClient {
  const options = { retryOptions: { maxTries: 1 }, tlsOptions: { ca: sandbox.caPem } }
  return new DataLakeServiceClient(sandbox.dfsEndpoint?.href ?? '', credentialOf(token), options)
}

t.test(
  'a hierarchical account has directories, renames and access lists for the application',
  async (t) => {
    const { sandbox, token } = await start(t)
    const files = lakeOf(sandbox, await token()).getFileSystemClient('data')

    await files.getDirectoryClient('a/b').create()
    await files.getFileClient('a/b/f.txt').upload(Buffer.from('hello'))
    await files.getDirectoryClient('a').move('c')
    await files.getFileClient('c/b/f.txt').setPermissions({
      owner: { read: true, write: true, execute: false },
      group: { read: true, write: false, execute: false },
      other: { read: false, write: false, execute: false },
      stickyBit: false,
      extendedAcls: false,
    })

    const names: (string | undefined)[] = []
    for await (const path of files.listPaths({ recursive: true })) names.push(path.name)
    t.strictSame(names, ['c', 'c/b', 'c/b/f.txt'])
    const { owner } = await files.getFileClient('c/b/f.txt').getAccessControl()
    t.match(owner, /^[0-9a-f-]{36}$/)
  },
)

t.test('each account has its own kind and key', async (t) => {
  const { sandbox } = await start(t)
  t.match(sandbox.accounts, [
    { name: 'lake', hierarchical: true },
    { name: 'plain', hierarchical: false },
  ])
  t.equal(sandbox.engine, 'abfs')
  for (const { name, key, hierarchical, blobEndpoint } of sandbox.accounts) {
    for (const { key: tried, name: owner } of sandbox.accounts) {
      const options = { retryOptions: { maxTries: 1 }, tlsOptions: { ca: sandbox.caPem } }
      const credential = new StorageSharedKeyCredential(name, tried)
      const client = new BlobServiceClient(blobEndpoint.href, credential, options)
      if (owner === name)
        t.match(await client.getAccountInfo(), { isHierarchicalNamespaceEnabled: hierarchical })
      else
        await t.rejects(client.getAccountInfo(), { statusCode: 403, code: 'AuthenticationFailed' })
    }
    t.not(key, '')
  }
})

t.test('callers without a token are told where to get one', async (t) => {
  const { sandbox, agent } = await start(t)

  const answer = await request(`${sandbox.blobEndpoint.href}?comp=list`, {
    dispatcher: agent,
    headers: { 'x-ms-version': '2024-11-04' },
  })
  await answer.body.dump()

  t.equal(answer.statusCode, 401)
  const authority = `${sandbox.authorityHost.href}${sandbox.tenantId}/oauth2/authorize`
  t.equal(
    answer.headers['www-authenticate'],
    `Bearer authorization_uri=${authority} resource_id=https://storage.azure.com`,
  )
})

t.test('managed identities contribute and do not own', async (t) => {
  const { sandbox } = await start(t)
  const url = new URL(
    'metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://storage.azure.com',
    sandbox.imdsEndpoint,
  )
  const answer = await request(url, { headers: { metadata: 'true' } })
  const { access_token: token } = (await answer.body.json()) as { access_token: string }
  const file = lakeOf(sandbox, token).getFileSystemClient('data').getFileClient('f')

  await file.upload(Buffer.from('x'))

  const acl = [
    {
      accessControlType: 'user' as const,
      entityId: 'x',
      defaultScope: false,
      permissions: { read: true, write: true, execute: true },
    },
  ]
  // They own what they made, so that its rights are theirs to change; its owner is not.
  await t.rejects(file.setAccessControl(acl, { owner: 'x' }), {
    statusCode: 403,
    code: 'AuthorizationPermissionMismatch',
  })
})

t.test(
  'tokens are verified: a forged one, and one of the wrong audience, are refused',
  async (t) => {
    const { sandbox, token } = await start(t)
    const [head, body, signature] = (await token()).split('.')
    const forged = `${head}.${body}.${signature?.replace(/^../, 'AA')}`
    for (const wrong of [
      forged,
      await token('https://management.azure.com/.default'),
      await token('https://plain.blob.core.windows.net/.default'),
    ]) {
      const client = blobServiceOf(sandbox, credentialOf(wrong))
      await t.rejects(client.getProperties(), {
        statusCode: 401,
        code: 'InvalidAuthenticationInfo',
      })
    }
  },
)

t.test('with audiences per account, names of hosts choose the audience', async (t) => {
  const { sandbox, agent, token } = await start(t, { perAccountAudiences: true })
  const { port } = sandbox.blobEndpoint
  const status = async (face: string, bearer: string): Promise<number> => {
    const host = `lake.${face}.localhost`
    const own = new Agent({ connect: { ca: sandbox.caPem, servername: host } })
    const headers = {
      host: `${host}:${port}`,
      authorization: `Bearer ${bearer}`,
      'x-ms-version': '2024-11-04',
    }
    const query = face === 'dfs' ? '?resource=account' : '?comp=list'
    const answer = await request(`https://127.0.0.1:${port}/${query}`, { dispatcher: own, headers })
    await answer.body.dump()
    await own.close()
    return answer.statusCode
  }
  const [blob, dfs, any] = await Promise.all([
    token('https://lake.blob.core.windows.net/.default'),
    token('https://lake.dfs.core.windows.net/.default'),
    token(),
  ])

  t.strictSame(
    await Promise.all([
      status('blob', blob),
      status('dfs', dfs),
      status('blob', dfs),
      status('dfs', blob),
      status('blob', any),
    ]),
    [200, 200, 401, 401, 401],
  )
  t.ok(agent)
})

t.test(
  'time, faults and the ledger are turned from inside and through the control port',
  async (t) => {
    const clock = new FakeClock()
    const accessLogFile = join(t.testdir(), 'requests.jsonl')
    const { sandbox, agent, token } = await start(t, { controlPort: 0, clock, accessLogFile })
    const { controlPort, storageControl } = sandbox
    if (controlPort === undefined || storageControl === undefined) throw new Error('no control')
    const put = (path: string, body: object): Promise<{ statusCode: number }> =>
      request(new URL(path, controlPort.url), {
        method: 'PUT',
        headers: { authorization: `Bearer ${controlPort.secret}` },
        body: JSON.stringify(body),
      })
    const bearer = await token()
    const list = async (): Promise<number> => {
      const headers = { authorization: `Bearer ${bearer}`, 'x-ms-version': '2024-11-04' }
      const answer = await request(`${sandbox.blobEndpoint.href}?comp=list`, {
        dispatcher: agent,
        headers,
      })
      await answer.body.dump()
      return answer.statusCode
    }
    storageControl.ledger.clear()

    t.equal(await list(), 200)
    await put('/faults', { faults: [{ count: 1, effect: { kind: 'status', status: 503 } }] })
    t.equal(await list(), 503)
    t.equal(await list(), 200)
    await put('/clock', { skewMs: 2 * 3_600_000 })
    t.equal(await list(), 401, 'the token is over in two hours')
    await put('/clock', { skewMs: 0 })
    await put('/roles', { assignments: [] })
    t.equal(await list(), 403)

    t.strictSame(
      storageControl.ledger.entries().map(({ status }) => status),
      [200, 503, 200, 401, 403],
    )
    await sandbox.close()
    const lines = (await readFile(accessLogFile, 'utf8')).trim().split('\n')
    t.match(JSON.parse(lines.at(-1) ?? ''), { verb: 'ListContainers', status: 403 })
  },
)

t.test(
  'the variables tell of dfs, accounts and the control port; printing the sandbox does not',
  async (t) => {
    const { sandbox } = await start(t, { controlPort: 0 })
    const [first, second] = sandbox.accounts

    t.match(sandbox.environment(), {
      ABFS_ACCOUNT: 'lake',
      ABFS_DFS_ENDPOINT: sandbox.blobEndpoint.href,
      AZURE_STORAGE_ACCOUNT_TYPE: 'adls',
      ABFS_SANDBOX_ACCOUNTS: 'lake:hns,plain:flat',
      ABFS_SANDBOX_KEY_LAKE: first?.key,
      ABFS_SANDBOX_KEY_PLAIN: second?.key,
      ABFS_SANDBOX_CONTROL_URL: sandbox.controlPort?.url.href,
      ABFS_SANDBOX_CONTROL_SECRET: sandbox.controlPort?.secret,
    })
    const shown = inspect(sandbox, { depth: 9, showHidden: true }) + JSON.stringify({ sandbox })
    for (const secret of [first?.key, second?.key, sandbox.controlPort?.secret]) {
      t.notOk(shown.includes(secret ?? ''))
    }
  },
)

t.test('what the engines cannot do is refused by name', async (t) => {
  const table: readonly (readonly [SandboxOptions, RegExp])[] = [
    [{ account: lake, engine: 'azurite' }, /'lake' is hierarchical.*'abfs'/],
    [{ engine: 'azurite', controlPort: 0 }, /^controlPort/],
    [{ engine: 'azurite', perAccountAudiences: true }, /^perAccountAudiences/],
    [{ account: lake, moreAccounts: [{ name: 'lake' }] }, /'lake' is named twice/],
    [{ moreAccounts: [{ name: 'No_Good' }] }, /'No_Good'/],
  ]
  for (const [options, message] of table) {
    await t.rejects(startSandbox(options), { name: 'RangeError', message })
  }
})

t.test('Azurite keeps several flat accounts too', async (t) => {
  const { sandbox } = await start(t, { account: { name: 'one' }, moreAccounts: [plain] })
  t.equal(sandbox.engine, 'azurite')
  for (const { name, key, blobEndpoint } of sandbox.accounts) {
    const options = { retryOptions: { maxTries: 1 }, tlsOptions: { ca: sandbox.caPem } }
    const client = new BlobServiceClient(
      blobEndpoint.href,
      new StorageSharedKeyCredential(name, key),
      options,
    )
    t.ok(await client.getContainerClient('data').exists(), name)
  }
})
