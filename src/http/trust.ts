import * as tls from 'node:tls'

/**
 * Who may sign the certificates of servers: the system's roots, and `ca` (PEM) beside them. One
 * context serves all connections; parsing the roots costs tens of milliseconds.
 */
export function trust(ca?: string | Buffer): tls.SecureContext {
  if (ca === undefined) return tls.createSecureContext()
  return tls.createSecureContext({ ca: [...systemRoots(), ca] })
}

/** The roots that Node trusts by itself, with `NODE_EXTRA_CA_CERTS` where Node can tell. */
function systemRoots(): readonly string[] {
  const { getCACertificates } = tls as { getCACertificates?: (type: 'default') => string[] }
  return getCACertificates?.('default') ?? tls.rootCertificates
}
