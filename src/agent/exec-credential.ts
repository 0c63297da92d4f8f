import { z } from 'zod'
import { aksServerApplication } from '../connector/token-target.ts'
import type { BearerCredential } from '../credential/credential.ts'
import { FileSystemError } from '../errors.ts'

/** Microsoft's application for the API servers of all AKS clusters that use Entra. */
export const aksServerId: string = aksServerApplication

const apiVersions = [
  'client.authentication.k8s.io/v1',
  'client.authentication.k8s.io/v1beta1',
] as const
type ApiVersion = (typeof apiVersions)[number]

const execInfo = z.object({ kind: z.literal('ExecCredential'), apiVersion: z.string() })

/**
 * The version of ExecCredential that kubectl asks for in `KUBERNETES_EXEC_INFO`; version 1 where
 * the variable is not set. Throws `EINVAL` for a version that is not known.
 */
export function execVersion(info: string | undefined): ApiVersion {
  if (info === undefined || info === '') return apiVersions[0]
  const result = execInfo.safeParse(parseJson(info))
  const known = apiVersions.find((version) => version === result.data?.apiVersion)
  if (known !== undefined) return known
  throw new FileSystemError('EINVAL', 'agent.kubernetes', {
    detail: `KUBERNETES_EXEC_INFO asks for ${result.data?.apiVersion ?? 'nothing that can be read'}: set apiVersion in the kubeconfig's exec entry to ${apiVersions[0]}`,
  })
}

/** What an exec plugin prints: kubectl keeps the token until it expires. */
export function execCredential(version: ApiVersion, credential: BearerCredential): string {
  const { token, expiresAtMs } = credential
  const expirationTimestamp = new Date(Math.floor(expiresAtMs / 1000) * 1000)
    .toISOString()
    .replace('.000Z', 'Z')
  return JSON.stringify({
    kind: 'ExecCredential',
    apiVersion: version,
    status: { expirationTimestamp, token },
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The caller says what was expected.
    return undefined
  }
}
