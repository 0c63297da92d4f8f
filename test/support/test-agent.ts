import { type IncomingHttpHeaders, request } from 'node:http'
import type { Test } from 'tap'
import { type Audiences, storageAudiences } from '../../src/agent/audience.ts'
import { type Agent, type AgentOptions, startAgent } from '../../src/agent/server.ts'
import { CachedCredentialProvider } from '../../src/credential/cached-provider.ts'
import type { CredentialProvider } from '../../src/credential/credential.ts'
import { FakeClock } from './fake-clock.ts'
import { ScriptedProvider, testBearer } from './scripted-provider.ts'

/** An agent whose tokens are made by the test. */
export interface TestAgent {
  readonly agent: Agent
  readonly provider: ScriptedProvider
  readonly clock: FakeClock
  /** Sends a request; App Service's, unless the parts say otherwise. */
  send(request?: RawRequest): Promise<RawAnswer>
}

/** Parts of a request; headers are sent beside a right `Host`, or instead of it. */
export interface RawRequest {
  readonly method?: string
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** An answer, its body parsed where it is JSON. */
export interface RawAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  readonly body: Readonly<Record<string, unknown>>
}

/** The resource that SDKs ask for by default. */
export const storageResource = 'https://storage.azure.com'

/** The target of an App Service request for `resource`. */
export function appServicePath(resource: string = storageResource): string {
  return `/msi/token?api-version=2019-08-01&resource=${encodeURIComponent(resource)}`
}

/** Starts an agent for account `acct` whose every token is `token N`, good for an hour. */
export async function startTestAgent(
  t: Test,
  options: Partial<AgentOptions> = {},
): Promise<TestAgent> {
  const clock = new FakeClock()
  const provider = new ScriptedProvider()
  let count = 0
  provider.answer = () => {
    count += 1
    return testBearer(`token-${count}`, clock.nowMs() + 3_600_000)
  }
  const audiences = testAudiences(new CachedCredentialProvider(provider, { clock }))
  const agent = await startAgent({ audiences, clock, ...options })
  t.teardown(() => agent.close())
  const send = (parts: RawRequest = {}): Promise<RawAnswer> => {
    const path = parts.path ?? appServicePath()
    const proof = { 'x-identity-header': agent.secrets.header }
    return sendRaw(agent.url, { ...parts, path, headers: parts.headers ?? proof })
  }
  return { agent, provider, clock, send }
}

/** Blob and dfs of account `acct`, to read container `data`. */
export function testAudiences(provider: CredentialProvider): Audiences {
  return storageAudiences({
    provider,
    account: 'acct',
    container: 'data',
    permissions: ['read', 'list'],
  })
}

/** Sends exactly what it is given, on a connection of its own. */
export function sendRaw(url: URL, parts: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const { method = 'GET', path = '/', headers = {}, body } = parts
    const sent = request(
      { host: '127.0.0.1', port: url.port, method, path, headers, agent: false },
      (answer) => {
        const pieces: Buffer[] = []
        answer.on('data', (piece: Buffer) => pieces.push(piece))
        answer.on('error', reject)
        answer.on('end', () => {
          const text = Buffer.concat(pieces).toString('utf8')
          const { statusCode: status = 0 } = answer
          resolve({ status, headers: answer.headers, text, body: parse(text) })
        })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

function parse(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}
