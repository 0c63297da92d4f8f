import { Agent, request } from 'undici'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'

/** An answer, its body as text and, where it is JSON, as a value. */
export interface PlainAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly json: Record<string, unknown>
}

/** A client without any logic, for the services of a sandbox. */
export class AzureClient {
  readonly #sandbox: Sandbox
  readonly #agent: Agent

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox
    this.#agent = new Agent({ connect: { ca: sandbox.caPem } })
  }

  close(): Promise<void> {
    return this.#agent.close()
  }

  async send(
    method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    url: URL | string,
    options: {
      readonly token?: string
      readonly headers?: Record<string, string>
      readonly body?: string | Buffer
    } = {},
  ): Promise<PlainAnswer> {
    const { token, body: content = null } = options
    const bearer = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const { statusCode, headers, body } = await request(url, {
      method,
      dispatcher: this.#agent,
      headers: { ...bearer, ...options.headers },
      body: content,
    })
    const text = await body.text()
    const isJson = /json/.test(String(headers['content-type']))
    return { status: statusCode, headers, text, json: isJson ? JSON.parse(text || '{}') : {} }
  }

  /** A form, posted. */
  post(url: URL | string, fields: Record<string, string> | URLSearchParams): Promise<PlainAnswer> {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    return this.send('POST', url, { headers, body: new URLSearchParams(fields).toString() })
  }

  /** A token of the sandbox's application for a resource. */
  async token(resource: string, extra: Record<string, string> = {}): Promise<string> {
    const { tenantId, clientId, clientSecret, authorityHost } = this.#sandbox
    const { json } = await this.post(new URL(`${tenantId}/oauth2/v2.0/token`, authorityHost), {
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret,
      scope: `${resource}/.default`,
      ...extra,
    })
    return String(json['access_token'])
  }

  /** Both steps from Entra's token to one of a registry for `scope`. */
  async registryToken(registry: URL, service: string, scope: string): Promise<PlainAnswer> {
    const token = await this.token('https://containerregistry.azure.net')
    const exchanged = await this.post(new URL('/oauth2/exchange', registry), {
      grant_type: 'access_token',
      service,
      access_token: token,
    })
    return this.post(new URL('/oauth2/token', registry), {
      grant_type: 'refresh_token',
      service,
      scope,
      refresh_token: String(exchanged.json['refresh_token']),
    })
  }
}
