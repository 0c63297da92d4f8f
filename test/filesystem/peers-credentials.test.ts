/**
 * Rows 10, 11 and 15 of the comparison with the peers: what happens to credentials and to bytes on their way.
 * Each test fails on the behaviour that its title denies.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import type { Integrity } from '../../src/blob/store.ts'
import { KiB } from '../../src/byte-range.ts'
import { authorize } from '../../src/credential/authorize.ts'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import type { CredentialProvider } from '../../src/credential/credential.ts'
import { scopeFor } from '../../src/credential/endpoints.ts'
import { MultiScopeTokenProvider } from '../../src/credential/multi-scope-token-provider.ts'
import { sasProvider } from '../../src/credential/sas-provider.ts'
import { callbackToken, type TokenRequest } from '../../src/credential/token-source.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { fixedSignature, keySignatures } from '../../src/given-credential.ts'
import { type HttpHandler, type HttpResponse, intercept } from '../../src/http/handler.ts'
import { retry } from '../../src/http/retry.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { administered } from '../support/administered.ts'
import { type BlobServer, startBlobServer } from '../support/blob-server.ts'
import { patternOf } from '../support/pattern.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

const blockBytes = 64 * KiB

interface Client {
  readonly provider: CredentialProvider
  readonly integrity?: Integrity
  /** Around the sockets: what the network, or the service, does. */
  readonly network?: (next: HttpHandler) => HttpHandler
  /** Where credentials are for, when not at the server itself. */
  readonly endpoint?: URL
}

/** A file system on the account of a local storage server; it ends with the test. */
function connect(t: Test, server: BlobServer, client: Client): AzureBlobFileSystem {
  const { clock } = server
  const { integrity, network = (next) => next } = client
  const sockets = socketHandler()
  t.teardown(() => sockets.close())
  const endpoint = client.endpoint ?? new URL(server.endpoint)
  const permissions = ['read', 'list', 'create', 'write', 'delete'] as const
  const endpoints = { account: accountName, blob: endpoint }
  const provider = new CachedCredentialProvider(client.provider, { clock })
  const http = intercept(
    network(sockets.handle),
    authorize({ provider, scopeOf: ({ url }) => scopeFor(url, endpoints, { permissions }) }),
    retry({ clock: { nowMs: () => clock.nowMs(), sleep: async () => {} } }),
  )
  const store = new AzureBlobStore({ account: accountName, endpoint, http, clock, integrity })
  return new AzureBlobFileSystem({ store, clock, blockBytes, listingTtlMs: 0 })
}

function unauthorized(challenge: string): HttpResponse {
  const headers = { 'www-authenticate': challenge, 'x-ms-error-code': 'InvalidAuthenticationInfo' }
  return { status: 401, headers, body: new Uint8Array() }
}

const claims = '{"access_token":{"nbf":{"essential":true,"value":"2"}}}'
const loginOf = (tenant: string) => `https://login.microsoftonline.com/${tenant}/oauth2/authorize`

/** Demands tokens of a tenant, and from a moment on those with claims; the server behind it demands a key. */
function entraGuard(server: BlobServer) {
  const asked: TokenRequest[] = []
  const source = callbackToken((request) => {
    asked.push(request)
    const token = Buffer.from(JSON.stringify(request)).toString('base64url')
    return { token, expiresAtMs: server.clock.nowMs() + 3_600_000 }
  })
  const state = { isRevoked: false, refused: 0 }
  const refusalOf = (authorization = ''): string | undefined => {
    const token = Buffer.from(authorization.replace('Bearer ', ''), 'base64url').toString()
    const { tenantId, claims: given } = JSON.parse(token) as TokenRequest
    if (tenantId !== 'tenant-1') return `Bearer authorization_uri="${loginOf('tenant-1')}"`
    if (!state.isRevoked || given === claims) return undefined
    const encoded = Buffer.from(claims).toString('base64')
    return `Bearer authorization_uri="${loginOf('tenant-1')}", error="insufficient_claims", claims="${encoded}"`
  }
  const network =
    (next: HttpHandler): HttpHandler =>
    async (request) => {
      const { authorization, ...headers } = request.headers
      const challenge = refusalOf(authorization)
      if (challenge !== undefined) {
        state.refused++
        return unauthorized(challenge)
      }
      const { pathname, search } = request.url
      const signed = `${search}${search === '' ? '?' : '&'}${server.sas}`
      const url = new URL(`${server.endpoint}${pathname}${signed}`)
      return next({ ...request, headers, url })
    }
  return { asked, source, state, network }
}

t.test(
  'row 10: a token of the wrong tenant, and one that is revoked in mid-transfer, cost a question each and no failure',
  async (t) => {
    const server = await startBlobServer(t)
    const { asked, source, state, network } = entraGuard(server)
    const provider = new MultiScopeTokenProvider({ source, clock: server.clock })
    // Bearers leave on https alone.
    const endpoint = new URL(`https://${accountName}.blob.core.windows.net`)
    const fs = connect(t, server, { provider, network, endpoint })

    await Promise.all(Array.from({ length: 8 }, (_, n) => fs.writeText(`first/${n}`, `${n}`)))

    t.equal(await fs.readText('first/7'), '7')
    const scope = `https://${accountName}.blob.core.windows.net/.default`
    const tenants = asked.map((request) => [request.scope, request.tenantId, request.claims])
    t.strictSame(
      tenants,
      [
        [scope, undefined, undefined],
        [scope, 'tenant-1', undefined],
      ],
      'eight at once ask once, and the tenant is remembered',
    )
    const file = await fs.open('first/large', 'w')
    await file.write(patternOf(4 * blockBytes))
    await server.clock.advance(60_000)
    state.isRevoked = true
    await file.write(patternOf(4 * blockBytes))
    await file.close()
    t.equal(await fs.size('first/large'), 8 * blockBytes)
    t.equal(asked.length, 3)
    t.match(asked[2], { scope, tenantId: 'tenant-1', claims })
  },
)

t.test(
  'row 11: a signature that ends in mid-transfer is replaced, and nothing is sent twice',
  async (t) => {
    const server = await startBlobServer(t)
    const { clock } = server
    const key = keySignatures(accountName, accountKeys[0], clock)
    const endpoint = new URL(server.endpoint)
    const admin = administered(t, { account: accountName, endpoint, provider: key, clock })
    const lifeMs = 600_000
    let given = 0
    const signature = async () => {
      given++
      const url = new URL(
        await admin.sign('first', {
          permissions: ['read', 'list', 'create', 'write', 'delete'],
          expiresInMs: lifeMs,
          allowHttp: true,
        }),
      )
      return { sas: url.search, expiresOn: new Date(clock.nowMs() + lifeMs) }
    }
    let blocks = 0
    const network =
      (next: HttpHandler): HttpHandler =>
      async (request) => {
        const answer = await next(request)
        if (request.operation === 'blob.stageBlock' && answer.status === 201) {
          blocks++
          await clock.advance(lifeMs / 4)
        }
        return answer
      }
    const upload = async (provider: CredentialProvider) => {
      const fs = connect(t, server, { provider, network })
      const file = await fs.open('first/large', 'w')
      for (let count = 0; count < 16; count++) await file.write(patternOf(blockBytes))
      return file.close()
    }

    const { sas } = await signature()
    // What the peers do: one signature for the life of the client.
    await t.rejects(upload(fixedSignature(sas)), { code: 'EACCES' })
    ;[given, blocks] = [0, 0]
    t.match(await upload(sasProvider(signature)), { size: 16 * blockBytes })
    t.equal(blocks, 16)
    t.ok(given >= 4, `${given} signatures`)
  },
)

/** Flips a bit of every content that comes, or of the first that goes. */
function damage(direction: 'down' | 'up') {
  let damaged = 0
  const network =
    (next: HttpHandler): HttpHandler =>
    async (request) => {
      const { body } = request
      if (direction === 'up' && body !== undefined && body.length > 1000 && damaged === 0) {
        damaged++
        const flipped = Uint8Array.from(body)
        flipped[500] = (flipped[500] ?? 0) ^ 1
        return next({ ...request, body: flipped })
      }
      const answer = await next(request)
      if (direction === 'down' && request.method === 'GET' && answer.body.length > 1000) {
        damaged++
        answer.body[500] = (answer.body[500] ?? 0) ^ 1
      }
      return answer
    }
  return { network, damaged: () => damaged }
}

t.test(
  'row 15: a bit that falls over in storage or on its way down is told, and no file is made of it',
  async (t) => {
    const server = await startBlobServer(t)
    const provider = keySignatures(accountName, accountKeys[0], server.clock)
    const writer = connect(t, server, { provider, integrity: 'crc64' })
    const data = patternOf(50 * KiB)
    await writer.pipeFile('first/small', data)
    const { network, damaged } = damage('down')
    const reader = connect(t, server, { provider, integrity: 'crc64', network })
    const local = join(t.testdir(), 'file')
    await writeFile(local, 'as it was')

    const refusal = { code: 'EBADMSG', serviceCode: 'ContentCrc64Mismatch' }
    await t.rejects(reader.catFile('first/small'), refusal)
    await t.rejects(reader.getFile('first/small', local), refusal)
    t.equal(await readFile(local, 'utf8'), 'as it was')
    t.ok(damaged() >= 2)
    // What the peers do: they take what comes.
    const careless = connect(t, server, { provider, integrity: 'none', network })
    t.notOk(Buffer.from(await careless.catFile('first/small')).equals(data))
    t.ok(Buffer.from(await writer.catFile('first/small')).equals(data))
  },
)

t.test(
  'row 15: a bit that falls over on its way up is refused by the service and sent again',
  async (t) => {
    const server = await startBlobServer(t)
    const provider = keySignatures(accountName, accountKeys[0], server.clock)
    for (const size of [50 * KiB, 5 * blockBytes]) {
      const { network, damaged } = damage('up')
      const fs = connect(t, server, { provider, integrity: 'crc64', network })
      const data = patternOf(size)
      await fs.pipeFile('first/f', data)
      t.equal(damaged(), 1)
      t.ok(Buffer.from(await fs.catFile('first/f')).equals(data), `${size} bytes`)
    }
  },
)
