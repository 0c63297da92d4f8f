import { readFile } from 'node:fs/promises'
import { rootCertificates } from 'node:tls'

// Debian and Ubuntu; Fedora and RHEL; Alpine and macOS.
const systemBundles: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
]

/** The roots that this system trusts (Node's own where it has no file of them) and one more. */
export async function bundleWithRoots(certificatePem: string): Promise<string> {
  const roots = (await firstReadable(systemBundles)) ?? rootCertificates.join('\n')
  return `${roots.trimEnd()}\n${certificatePem}`
}

async function firstReadable(paths: readonly string[]): Promise<string | undefined> {
  const [path, ...others] = paths
  if (path === undefined) return undefined
  return readFile(path, 'utf8').catch(() => firstReadable(others))
}
