import { X509Certificate } from 'node:crypto'
import { createServer } from 'node:https'
import t from 'tap'
import { Agent, request } from 'undici'
import { createCertificateAuthority } from '../../src/sandbox/certificate-authority.ts'

t.test('a server certificate names loopback, localhost and the names asked for', async (t) => {
  const authority = await createCertificateAuthority()

  const { certificatePem } = await authority.issueServerCertificate(['mine.blob.localhost'])

  const certificate = new X509Certificate(certificatePem)
  t.equal(certificate.checkIP('127.0.0.1'), '127.0.0.1')
  t.equal(certificate.checkIP('::1'), '::1')
  t.equal(certificate.checkHost('localhost'), 'localhost')
  t.equal(certificate.checkHost('mine.blob.localhost'), 'mine.blob.localhost')
  t.equal(certificate.checkHost('example.com'), undefined)
  t.equal(certificate.verify(new X509Certificate(authority.certificatePem).publicKey), true)
  t.equal(certificate.ca, false)
})

t.test('only clients of the same authority accept its servers', async (t) => {
  const [authority, stranger] = await Promise.all([
    createCertificateAuthority(),
    createCertificateAuthority(),
  ])
  const { certificatePem: cert, privateKeyPem: key } = await authority.issueServerCertificate()
  const server = createServer({ cert, key }, (_request, response) => response.end('ok'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  const url = `https://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`
  const trusting = new Agent({ connect: { ca: authority.certificatePem } })
  const mistaken = new Agent({ connect: { ca: stranger.certificatePem } })
  t.teardown(() => Promise.all([trusting.destroy(), mistaken.destroy()]))

  t.equal((await request(url, { dispatcher: trusting })).statusCode, 200)
  await t.rejects(request(url, { dispatcher: mistaken }), {
    code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  })
})

t.test('every certificate has another serial number', async (t) => {
  const authority = await createCertificateAuthority()

  const issued = await Promise.all([
    authority.issueServerCertificate(),
    authority.issueServerCertificate(),
  ])

  const numbers = issued.map((each) => new X509Certificate(each.certificatePem).serialNumber)
  t.not(numbers[0], numbers[1])
})
