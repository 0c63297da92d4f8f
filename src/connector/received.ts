import type { Credential, Scope } from '../credential/credential.ts'
import { type CredentialEvent, credentialChannel } from '../telemetry.ts'

/** Tells the subscribers of `credentialChannel` that a credential arrived. */
export function publishCredential(credential: Credential, scope: Scope, lifeMs: number): void {
  if (!credentialChannel.hasSubscribers) return
  const event: CredentialEvent = {
    kind: credential.kind,
    account: scope.account,
    service: scope.service,
    container: scope.container,
    permissions: scope.permissions,
    expiresAtMs: credential.expiresAtMs,
    lifeMs,
  }
  credentialChannel.publish(event)
}

/** The place that a scope names, for messages: `abfs://container/prefix`. */
export function scopePath(scope: Scope): string {
  const { container = '', prefix = '' } = scope
  return `abfs://${container}${prefix === '' ? '' : `/${prefix}`}`
}
