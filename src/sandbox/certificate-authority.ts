// The x509 library needs this polyfill loaded before it.
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'
import { systemClock } from '../clock.ts'

/** A certificate and its private key. */
export interface CertificateAndKey {
  readonly certificatePem: string
  /** PKCS #8. */
  readonly privateKeyPem: string
}

/** Signs the certificates of the servers on this machine; its key lives in memory only. */
export interface CertificateAuthority {
  readonly certificatePem: string
  /** A certificate for the loopback addresses, `localhost` and the given names. */
  issueServerCertificate(names?: readonly string[]): Promise<CertificateAndKey>
}

type KeyAlgorithm = typeof ellipticKey | typeof rsaKey

const ellipticKey = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const rsaKey = {
  name: 'RSASSA-PKCS1-v1_5',
  hash: 'SHA-256',
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
}

const dayMs = 24 * 60 * 60 * 1000
// Long enough for a sandbox that stays up for months; below the 825 days that some clients allow.
const lifetimeMs = 365 * dayMs

/** Makes a certificate authority with a fresh P-256 key. */
export async function createCertificateAuthority(): Promise<CertificateAuthority> {
  const keys = await generateKeys(ellipticKey)
  const authority = await selfSign('CN=abfs sandbox certificate authority', keys, ellipticKey, [
    new BasicConstraintsExtension(true, 0, true),
    new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
  ])
  return {
    certificatePem: pem(authority),
    issueServerCertificate: (names = []) => issue(authority, keys.privateKey, names),
  }
}

/** A self-signed RSA certificate, as one registers with an Entra application. */
export async function createClientCertificate(commonName: string): Promise<CertificateAndKey> {
  const keys = await generateKeys(rsaKey)
  const certificate = await selfSign(`CN=${commonName}`, keys, rsaKey, [
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
  ])
  return { certificatePem: pem(certificate), privateKeyPem: await exportKey(keys.privateKey) }
}

async function issue(
  authority: X509Certificate,
  signingKey: webcrypto.CryptoKey,
  names: readonly string[],
): Promise<CertificateAndKey> {
  const keys = await generateKeys(ellipticKey)
  const certificate = await X509CertificateGenerator.create(
    {
      ...validity(),
      serialNumber: randomSerialNumber(),
      subject: 'CN=abfs sandbox',
      issuer: authority.subject,
      publicKey: keys.publicKey,
      signingKey,
      signingAlgorithm: ellipticKey,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        subjectAlternativeNames(names),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        await AuthorityKeyIdentifierExtension.create(authority.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  )
  return { certificatePem: pem(certificate), privateKeyPem: await exportKey(keys.privateKey) }
}

async function selfSign(
  name: string,
  keys: webcrypto.CryptoKeyPair,
  signingAlgorithm: KeyAlgorithm,
  extensions: readonly Extension[],
): Promise<X509Certificate> {
  const keyIdentifier = await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto)
  return X509CertificateGenerator.createSelfSigned(
    {
      ...validity(),
      serialNumber: randomSerialNumber(),
      name,
      keys,
      signingAlgorithm,
      extensions: [...extensions, keyIdentifier],
    },
    webcrypto,
  )
}

function subjectAlternativeNames(names: readonly string[]): SubjectAlternativeNameExtension {
  return new SubjectAlternativeNameExtension([
    { type: 'ip', value: '127.0.0.1' },
    { type: 'ip', value: '::1' },
    ...['localhost', '*.localhost', ...names].map((value) => ({ type: 'dns' as const, value })),
  ])
}

function validity(): { notBefore: Date; notAfter: Date } {
  const nowMs = systemClock.nowMs()
  // A minute back: another machine's view of the clock, such as a container's, may lag.
  return { notBefore: new Date(nowMs - 60_000), notAfter: new Date(nowMs + lifetimeMs) }
}

function randomSerialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16))
  // RFC 5280, 4.1.2.2: positive, so the top bit is clear and the number is not zero.
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return Buffer.from(bytes).toString('hex')
}

function generateKeys(algorithm: KeyAlgorithm): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const bytes = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key)).toString('base64')
  const lines = bytes.match(/.{1,64}/g) ?? []
  return ['-----BEGIN PRIVATE KEY-----', ...lines, '-----END PRIVATE KEY-----', ''].join('\n')
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString('pem').trimEnd()}\n`
}
