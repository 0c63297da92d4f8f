import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { test } from 'tap'
import { z } from 'zod'
import { systemClock } from '../../src/clock.ts'
import { type CallerKey, generateCallerKey } from '../../src/connector/authenticate.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { type ConnectorConfig, parseConnectorConfig } from '../../src/connector/config.ts'
import { openIssuer } from '../../src/connector/open-issuer.ts'
import { startConnector } from '../../src/connector/server.ts'
import { diskSources } from '../../src/connector/sources.ts'
import type { Credential, Scope } from '../../src/credential/credential.ts'
import type { HttpHandler } from '../../src/http/handler.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { MemoryAudit } from '../support/memory-audit.ts'
import { type RecordingProxy, startRecordingProxy } from '../support/recording-proxy.ts'
import { blobServiceOf } from '../support/sandbox-clients.ts'

const sandbox = await startSandbox({ containers: ['data'] })
const certificate = await readFile(sandbox.clientCertificateFile, 'utf8')
const privateKey = /PRIVATE KEY-----\n([\s\S]*?)\n-----END/.exec(certificate)?.[1] ?? ''
const secretFile = join(sandbox.runDirectory, 'connector-secret')
await writeFile(secretFile, sandbox.clientSecret)

const identities = [
  `kind: service-principal\n  clientSecretFile: '${secretFile}'`,
  `kind: certificate\n  certificateFile: '${sandbox.clientCertificateFile}'`,
  `kind: workload-identity\n  federatedTokenFile: '${sandbox.federatedTokenFile}'`,
]
const scope: Scope = {
  account: sandbox.account,
  service: 'blob',
  container: 'data',
  permissions: ['read', 'list'],
}
await blobServiceOf(sandbox)
  .getContainerClient('data')
  .getBlockBlobClient('hello.txt')
  .upload('hello', 5)

test('all bytes that pass a client’s sockets', async (t) => {
  t.teardown(() => sandbox.close())
  for (const identity of identities) {
    for (const kind of ['sas', 'bearer'] as const) {
      t.test(`hold no secret: ${identity.split('\n')[0]}, ${kind}`, async (t) => {
        const { bytes, credential, upstream } = await session(identity, kind)

        const given = credential.kind === 'sas' ? credential.query : credential.token
        t.equal(bytes.includes('HTTP/1.1 200 OK'), true, 'the answers were recorded')
        t.equal(bytes.includes(JSON.stringify(given).slice(1, 40)), true, 'and the credential')
        t.equal(bytes.includes('<Name>hello.txt</Name>'), true, 'and the data')
        t.equal(bytes.includes('"auth_method":"implicit"'), true, 'and the façades')
        t.equal(bytes.includes('abfs_connector_requests_total'), true, 'and the samples')
        t.equal(bytes.includes('"decision":"granted"'), true, 'and the audit log')
        const federated = await readFile(sandbox.federatedTokenFile, 'utf8')
        const secrets = {
          'client secret': sandbox.clientSecret,
          'account key': sandbox.accountKey,
          'certificate key': privateKey.split('\n')[1] ?? '',
          'federated token': federated.trim(),
          ...upstream,
        }
        for (const [name, secret] of Object.entries(secrets)) {
          t.equal(secret.length >= 16, true, `there is a ${name}`)
          for (const run of spellings(secret)) t.equal(bytes.includes(run), false, name)
        }
      })
    }
  }
  t.end()
})

interface Session {
  /** Everything that passed between the client and the servers it talks to. */
  readonly bytes: Buffer
  readonly credential: Credential
  /** What Entra and storage gave to the connector alone. */
  readonly upstream: Record<string, string>
}

/** Asks for a credential and lists with it, all through proxies that keep every byte. */
async function session(identity: string, kind: Credential['kind']): Promise<Session> {
  const caller = generateCallerKey()
  const behind = await startRecordingProxy({ url: sandbox.blobEndpoint, ca: sandbox.caPem })
  const config = await configOf(identity, caller, behind)
  const issuer = await openIssuer(config, diskSources())
  const audit = new MemoryAudit()
  const log: string[] = []
  const logger = pino({ level: 'trace' }, { write: (text) => void log.push(text) })
  const connector = await startConnector({ config, issuer, audit, logger })
  const toConnector = await startRecordingProxy({ url: connector.url })
  const toStorage = await startRecordingProxy({ url: sandbox.blobEndpoint, ca: sandbox.caPem })
  const http = undiciHandler({ ca: toStorage.ca })
  const clientOf = (key: string): ConnectorClient =>
    new ConnectorClient({
      endpoint: toConnector.url,
      callerProof: async () => key,
      http: http.handle,
      clock: systemClock,
      kind,
    })
  try {
    const credential = await clientOf(caller.key).getCredential(scope)
    await list(toStorage.url, credential, http.handle)
    await clientOf(generateCallerKey().key)
      .getCredential(scope)
      .catch(() => undefined)
    await clientOf(caller.key)
      .getCredential({ ...scope, permissions: ['delete'] })
      .catch(() => undefined)
    await askFacades(toConnector.url, caller.key)
    await behind.close()
    await clientOf(caller.key)
      .getCredential({ ...scope, service: 'dfs' }, { refresh: true })
      .catch(() => undefined)
    const written = Buffer.from(`${log.join('')}${JSON.stringify(audit.records)}`)
    const bytes = Buffer.concat([toConnector.bytes(), toStorage.bytes(), written])
    return { bytes, credential, upstream: kind === 'sas' ? upstreamSecrets(behind) : {} }
  } finally {
    await http.close()
    await connector.close()
    await Promise.all([toConnector, toStorage, behind].map((proxy) => proxy.close()))
  }
}

/** What else a connector tells: its description, its samples, ZenML's and Unity Catalog's answers. */
async function askFacades(endpoint: URL, key: string): Promise<void> {
  const ask = async (path: string, init: RequestInit = {}): Promise<string> => {
    const response = await fetch(new URL(path, endpoint), init)
    return response.text()
  }
  await ask('/v1/openapi.json')
  await ask('/metrics')
  await ask('/readyz')
  const password = { grant_type: 'zenml-api-key', password: key }
  const login = await ask('/api/v1/login', { method: 'POST', body: new URLSearchParams(password) })
  const { access_token } = z.object({ access_token: z.string() }).parse(JSON.parse(login))
  const headers = { authorization: `Bearer ${access_token}` }
  const list = await ask('/api/v1/service_connectors', { headers })
  const page = z.object({ items: z.array(z.object({ id: z.string() })) }).parse(JSON.parse(list))
  const client = 'client?resource_type=blob-container&resource_id=az://data'
  await ask(`/api/v1/service_connectors/${page.items[0]?.id}/${client}`, { headers })
  await ask('/api/2.1/unity-catalog/temporary-path-credentials', {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      url: `abfss://data@${sandbox.account}.dfs.core.windows.net/`,
      operation: 'PATH_READ',
    }),
  })
}

async function configOf(
  identity: string,
  caller: CallerKey,
  behind: RecordingProxy,
): Promise<ConnectorConfig> {
  const caFile = join(sandbox.runDirectory, 'wire-secrecy-ca.pem')
  await writeFile(caFile, `${sandbox.caPem}\n${behind.ca}`)
  const yaml = `
listen: { port: 0 }
identity:
  ${identity}
  tenantId: '${sandbox.tenantId}'
  clientId: '${sandbox.clientId}'
  authorityHost: '${sandbox.authorityHost.href}'
  disableInstanceDiscovery: true
caFile: ${caFile}
accounts: [{ name: ${sandbox.account}, blobEndpoint: '${behind.url.href}' }]
callers: [{ name: trainer, keySha256: ${caller.keySha256} }]
policy:
  - caller: trainer
    account: ${sandbox.account}
    container: data
    permissions: [read, list]
    credentials: [sas, bearer]
`
  return parseConnectorConfig(yaml, { file: 'test.yaml' })
}

async function list(endpoint: URL, credential: Credential, http: HttpHandler): Promise<void> {
  const query = credential.kind === 'sas' ? `&${credential.query}` : ''
  await http({
    method: 'GET',
    url: new URL(`${endpoint.href}/data?restype=container&comp=list${query}`),
    headers: {
      'x-ms-version': '2025-05-05',
      ...(credential.kind === 'bearer' ? { authorization: `Bearer ${credential.token}` } : {}),
    },
    operation: 'test',
  })
}

/** The delegation key and the connector's own token, taken from the connector's side. */
function upstreamSecrets(behind: RecordingProxy): Record<string, string> {
  const text = behind.bytes().toString('latin1')
  return {
    'user delegation key': /<Value>([^<]+)<\/Value>/.exec(text)?.[1] ?? '',
    'token of the connector': /authorization: Bearer ([\w.-]+)/i.exec(text)?.[1] ?? '',
  }
}

/** The ways in which a secret might be written. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret, 'base64')
  return [
    secret,
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64'),
    Buffer.from(secret).toString('hex'),
    bytes.toString('hex'),
    bytes.toString('base64url'),
  ]
}
