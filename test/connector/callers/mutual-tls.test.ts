// The x509 library needs this polyfill loaded before it.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { request } from 'node:https'
import { join } from 'node:path'
import {
  BasicConstraintsExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import t from 'tap'
import { parseConnectorConfig } from '../../../src/connector/config.ts'
import { startTestConnector } from '../../support/test-connector.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

interface Pair {
  readonly certificate: X509Certificate
  readonly keys: webcrypto.CryptoKeyPair
  readonly cert: string
  readonly key: string
}

/** A certificate by `issuer`, or by itself. */
async function certify(name: string, issuer?: Pair): Promise<Pair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: issuer?.certificate.subject ?? `CN=${name}`,
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 3_600_000),
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    signingAlgorithm: algorithm,
    extensions: [
      new BasicConstraintsExtension(issuer === undefined, undefined, true),
      new SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }]),
    ],
  })
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  const key = `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`
  return { certificate, keys, cert: certificate.toString('pem'), key }
}

t.test(
  'a client certificate of the listener’s authority is a caller, by a real handshake',
  async (t) => {
    const authority = await certify('authority')
    const server = await certify('connector', authority)
    const directory = t.testdir({
      'ca.pem': authority.cert,
      'cert.pem': server.cert,
      key: server.key,
    })
    const config = parseConnectorConfig(
      `
listen: { port: 0, tls: { certFile: ${join(directory, 'cert.pem')}, keyFile: ${join(directory, 'key')}, clientCaFile: ${join(directory, 'ca.pem')} } }
identity: { kind: service-principal, tenantId: t, clientId: c, clientSecretEnv: S }
accounts: [{ name: acct }]
callers: [{ name: trainer, certificate: { commonName: trainer } }]
policy: [{ caller: trainer, account: acct, container: data, permissions: [read] }]
`,
      { file: 'test.yaml' },
    )
    const bench = await startTestConnector({ config })
    t.teardown(() => bench.close())
    const scope = { account: 'acct', service: 'blob', container: 'data', permissions: ['read'] }
    const ask = async (client?: Pick<Pair, 'cert' | 'key'>): Promise<number | undefined> => {
      const url = new URL('/v1/credentials', bench.connector.url)
      const sent = request(url, {
        method: 'POST',
        ca: authority.cert,
        agent: false,
        headers: { 'content-type': 'application/json' },
        ...(client === undefined ? {} : { cert: client.cert, key: client.key }),
      })
      sent.end(JSON.stringify({ scope }))
      const [response] = await once(sent, 'response')
      response.resume()
      return response.statusCode
    }
    t.equal(await ask(await certify('trainer', authority)), 200)
    t.match(bench.audit.records.at(-1), { caller: 'trainer', decision: 'granted' })
    t.equal(await ask(await certify('somebody', authority)), 401, 'of no caller’s name')
    t.equal(await ask(), 401, 'no certificate')
    t.equal(await ask(await certify('trainer', await certify('authority'))), 401, 'not ours')
  },
)
