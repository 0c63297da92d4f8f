import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { z } from 'zod'
import { connectorYaml } from '../../src/cli/sandbox/connector-yaml.ts'
import { systemClock } from '../../src/clock.ts'
import { generateCallerKey } from '../../src/connector/authenticate.ts'
import { ConnectorClient } from '../../src/connector/client.ts'
import { parseConnectorConfig } from '../../src/connector/config.ts'
import { openIssuer } from '../../src/connector/open-issuer.ts'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import type { Scope } from '../../src/credential/credential.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'
import { type Sandbox, startSandbox } from '../../src/sandbox/sandbox.ts'
import { whyNoCli } from '../support/cli.ts'
import { startRecordingProxy } from '../support/recording-proxy.ts'
import { serveConnector } from '../support/served-connector.ts'

const caller = generateCallerKey()

async function yamlOf(sandbox: Sandbox, directory: string): Promise<string> {
  const secretFile = join(directory, 'secret')
  await writeFile(secretFile, sandbox.clientSecret, { mode: 0o600 })
  const auditFile = join(directory, 'audit.jsonl')
  const { keySha256 } = caller
  const yaml = connectorYaml(sandbox, { keySha256, secretFile, auditFile })
  return yaml.replace(/requestsPerMinute: \d+/, 'requestsPerMinute: 100000000')
}

test('a connector that is killed under load loses nothing that it acknowledged', {
  skip: whyNoCli(),
}, async (t) => {
  const sandbox = await startSandbox({ containers: ['data'] })
  t.teardown(() => sandbox.close())
  const directory = t.testdir()
  const file = join(directory, 'connector.yaml')
  await writeFile(file, await yamlOf(sandbox, directory))
  const { child, url } = await serveConnector(t, file)
  const http = undiciHandler()
  t.teardown(() => http.close())
  const scope: Scope = {
    account: sandbox.account,
    service: 'blob',
    container: 'data',
    permissions: ['read', 'list'],
  }
  let endpoint = url
  const connect = () =>
    new ConnectorClient({
      endpoint,
      callerProof: async () => caller.key,
      http: http.handle,
      clock: systemClock,
      kind: 'sas',
    })
  const cache = new CachedCredentialProvider(connect(), { clock: systemClock })
  const held = await cache.getCredential(scope)

  const acknowledged: string[] = []
  const body = JSON.stringify({ scope, kind: 'sas' })
  const headers = { authorization: `Bearer ${caller.key}`, 'content-type': 'application/json' }
  const ask = async (): Promise<void> => {
    for (;;) {
      const response = await fetch(new URL('/v1/credentials', url), {
        method: 'POST',
        body,
        headers,
      })
      acknowledged.push(z.object({ auditId: z.string() }).parse(await response.json()).auditId)
      if (acknowledged.length === 200) child.kill('SIGKILL')
    }
  }
  await Promise.allSettled(Array.from({ length: 8 }, ask))

  t.equal(await cache.getCredential(scope), held, 'the client goes on with what it has')
  const lines = (await readFile(join(directory, 'audit.jsonl'), 'utf8')).split('\n')
  const written = new Set(
    lines.flatMap((line) => (line.endsWith('}') ? [JSON.parse(line).auditId] : [])),
  )
  t.ok(acknowledged.length >= 200)
  t.same(
    acknowledged.filter((id) => !written.has(id)),
    [],
  )
  const again = await serveConnector(t, file)
  endpoint = again.url
  await t.resolves(connect().getCredential(scope), 'a restarted one knows the caller')
})

test('20,000 that ask at once are one request to Azure, and each gets its own', async (t) => {
  const sandbox = await startSandbox({ containers: ['data'] })
  t.teardown(() => sandbox.close())
  const behind = await startRecordingProxy({ url: sandbox.blobEndpoint, ca: sandbox.caPem })
  t.teardown(() => behind.close())
  const directory = t.testdir()
  const caFile = join(directory, 'ca.pem')
  await writeFile(caFile, `${sandbox.caPem}\n${behind.ca}`)
  const yaml = (await yamlOf(sandbox, directory))
    .replace(/caFile: .*/, `caFile: ${caFile}`)
    .replace(/blobEndpoint: .*/, `blobEndpoint: ${behind.url.href}`)
  const issuer = await openIssuer(parseConnectorConfig(yaml, { file: 'test.yaml' }))
  const scope: Scope = {
    account: sandbox.account,
    service: 'blob',
    container: 'data',
    permissions: ['read'],
  }
  const grant = {
    decision: 'grant',
    scope,
    kind: 'sas',
    maxTtlMs: 3_600_000,
    enforceBearerTtl: false,
  } as const

  const issued = await Promise.all(
    Array.from({ length: 20_000 }, () => issuer.issue(grant, { auditId: crypto.randomUUID() })),
  )

  t.equal(issued.length, 20_000)
  const keys = behind
    .bytes()
    .toString('latin1')
    .match(/comp=userdelegationkey/g)
  t.equal(keys?.length, 1)
  let asked = 0
  const one = issued[0]?.credential
  const cache = new CachedCredentialProvider(
    {
      getCredential: async () => {
        asked += 1
        if (one === undefined) throw new Error('none was issued')
        return one
      },
    },
    { clock: systemClock },
  )
  await Promise.all(Array.from({ length: 20_000 }, () => cache.getCredential(scope)))
  t.equal(asked, 1)
})
