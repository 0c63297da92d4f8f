import { readdirSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { StorageSharedKeyCredential } from '@azure/storage-blob'
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from 'jose'
import t from 'tap'
import { createAccessControl } from '../../src/storage-server/access/create-access-control.ts'
import { accountSettings, createAccount } from '../../src/storage-server/model/memory-account.ts'
import { createStorageServer } from '../../src/storage-server/server.ts'
import { signatureForAll } from '../support/blob-server.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { exchange, type FuzzOptions, randomOf, randomRequest } from '../support/request-fuzz.ts'
import { accountKeys, addContainer } from '../support/storage-request.ts'

/** The long run: `ABFS_FUZZ_REQUESTS=100000 npx tap --timeout=0 test/storage-server/request-fuzz.test.ts`. */
const requests = Number(process.env['ABFS_FUZZ_REQUESTS'] ?? 3000)
const seed = Number(process.env['ABFS_FUZZ_SEED'] ?? Date.now() & 0x7fffffff)
const width = 8
const containers = ['files', 'first', 'absent', 'public']
const issuer = 'https://sts.windows.net/a0a0a0a0-0000-4000-8000-000000000001/'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

t.test(`${requests} random requests leave a server that works and holds nothing`, async (t) => {
  t.comment(`seed ${seed}`)
  const clock = new FakeClock(Date.now())
  const keys = await generateKeyPair('RS256', { extractable: true })
  const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'k', alg: 'RS256' }
  const tokens = {
    keys: createLocalJWKSet({ keys: [jwk] }),
    issuers: [issuer],
    authorizationUri: 'https://login.localhost/tenant/oauth2/authorize',
  }
  const accounts = new Map(
    ['abfstest', 'lake'].map((name) => {
      const settings = { name, keys: accountKeys, hierarchical: name === 'lake' }
      return [name, createAccount(accountSettings(settings), { clock })] as const
    }),
  )
  const refill = () => {
    for (const account of accounts.values()) {
      for (const { properties } of [...account.containers()])
        account.removeContainer(properties.name)
      for (const name of containers.filter((name) => name !== 'absent')) {
        addContainer(account, name, name === 'public' ? { publicAccess: 'container' } : {})
      }
    }
  }
  refill()
  const server = createStorageServer({ accounts, access: createAccessControl({ tokens }), clock })
  const port = Number(new URL(await server.listen()).port)
  t.teardown(() => server.close())
  const sign = (claims: Record<string, unknown>) =>
    new SignJWT({ iss: issuer, oid: 'someone', tid: 'a0', ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'k' })
      .setIssuedAt()
      .setExpirationTime('30d')
      .sign(keys.privateKey)
  const options: FuzzOptions = {
    port,
    accounts: [...accounts.keys()],
    containers,
    signatures: Object.fromEntries(
      [...accounts.keys()].map((name) => [
        name,
        signatureForAll(new StorageSharedKeyCredential(name, accountKeys[0])),
      ]),
    ),
    bearers: [
      `Bearer ${await sign({ aud: 'https://storage.azure.com' })}`,
      `Bearer ${await sign({ aud: 'https://lake.dfs.core.windows.net' })}`,
    ],
  }
  const random = randomOf(seed)
  const statuses = new Map<number | undefined, number>()
  const failures: string[] = []
  const run = async (count: number): Promise<void> => {
    let left = count
    const worker = async (): Promise<void> => {
      while (left-- > 0) {
        const { status, sent, head } = await exchange(port, randomRequest(random, options))
        statuses.set(status, (statuses.get(status) ?? 0) + 1)
        // 501 and 503 are answers of Azure's; 500 is what nobody thought of.
        if (status === 500) failures.push(`${sent.toString('latin1')}\n→ ${head}`)
      }
    }
    await Promise.all(Array.from({ length: width }, worker))
  }
  const held = () => {
    refill()
    collectGarbage()
    return { heapMiB: process.memoryUsage().heapUsed / 2 ** 20, files: openFiles() }
  }

  await run(Math.min(requests / 4, 5000))
  const before = held()
  await run(requests)
  const after = held()

  t.comment(`answers ${JSON.stringify(Object.fromEntries(statuses))}`)
  t.comment(`heap ${before.heapMiB.toFixed(1)} then ${after.heapMiB.toFixed(1)} MiB`)
  t.comment(`open files ${before.files} then ${after.files}`)
  t.strictSame(failures.slice(0, 5), [], `${failures.length} internal errors`)
  for (const status of [200, 201, 202, 400, 401, 403, 404, 409, 412]) {
    t.ok(statuses.has(status), `${status} is among the answers`)
  }
  t.ok(after.heapMiB < before.heapMiB + 15, `heap grew by ${after.heapMiB - before.heapMiB} MiB`)
  t.ok(after.files <= before.files + 2, `${before.files} files were open, then ${after.files}`)
  const health = await exchange(port, Buffer.from(plainListing(options)))
  t.equal(health.status, 200, 'the server answers as before')
})

function plainListing({ signatures }: FuzzOptions): string {
  const path = `/abfstest/first?restype=container&comp=list&${signatures['abfstest']}`
  return `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`
}

/** Sockets and files of this process. */
function openFiles(): number {
  return process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0
}
