import type { AccessTarget, Need } from './access.ts'
import { anonymousNotFound, credentialMissing, publicAccessNotPermitted } from './refusal.ts'

const firstVersionWithChallenge = '2019-12-12'

/** Throws `StorageError` 401, 404 or 409 unless the container is public for all that is needed. */
export function checkAnonymous(
  needs: readonly Need[],
  { request, account }: AccessTarget,
  challenge: string | undefined,
): void {
  const isPublic = needs.every((need) => isOpen(need, { request, account }))
  if (isPublic && account.settings.allowPublicAccess) return
  // A version in the request comes from a client that can read a challenge.
  const version = request.headers['x-ms-version']
  if (version !== undefined && version >= firstVersionWithChallenge) {
    throw credentialMissing(challenge)
  }
  throw account.settings.allowPublicAccess ? anonymousNotFound() : publicAccessNotPermitted()
}

function isOpen(need: Need, { account }: AccessTarget): boolean {
  const access = account.container(need.container ?? '')?.properties.publicAccess
  if (need.resource === 'path') return need.right === 'read' && access !== undefined
  const isReading = need.right === 'list' || need.right === 'read'
  return need.resource === 'container' && isReading && access === 'container'
}
