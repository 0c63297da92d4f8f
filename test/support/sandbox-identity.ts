import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'

/** The sections of a connector's configuration that make it the service principal of `sandbox`, trusting its certificates. */
export async function sandboxIdentity(sandbox: Sandbox): Promise<string> {
  const secretFile = join(sandbox.runDirectory, 'connector-secret')
  await writeFile(secretFile, sandbox.clientSecret)
  return `
identity:
  kind: service-principal
  tenantId: '${sandbox.tenantId}'
  clientId: '${sandbox.clientId}'
  clientSecretFile: '${secretFile}'
  authorityHost: '${sandbox.authorityHost.href}'
  disableInstanceDiscovery: true
caFile: ${sandbox.caFile}
`
}
