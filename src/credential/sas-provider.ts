import { FileSystemError } from '../errors.ts'
import { expectFunction } from '../expect-option.ts'
import { type CredentialProvider, type Scope, sasCredential } from './credential.ts'

export interface RotatingSas {
  /** With or without `?` in front. */
  readonly sas: string
  /** Default: what its `se` says. */
  readonly expiresOn?: Date | number | undefined
}

/**
 * Signatures that somebody else makes, asked for anew before they end and when the service refuses one:
 * also in the middle of a transfer, which goes on with the next one. `renew` is asked once at a time for each
 * scope. Rejects with `EINVAL` for text that is no signature. `TypeError` for what is no function.
 */
export function sasProvider(
  renew: (
    scope: Scope,
    options: { readonly signal?: AbortSignal | undefined },
  ) => Promise<RotatingSas> | RotatingSas,
): CredentialProvider {
  expectFunction('renew', renew, 'a function that gives { sas, expiresOn? }')
  return {
    async getCredential(scope, { signal } = {}) {
      const { sas, expiresOn } = await renew(scope, { signal })
      if (typeof sas !== 'string') throw noSignature()
      const query = sas.replace(/^\?/, '')
      const fields = new URLSearchParams(query)
      if (!fields.has('sig')) throw noSignature()
      return sasCredential(query, endOf(expiresOn, fields.get('se')))
    },
  }
}

/** Without an end it is good until it is refused: a stored access policy may hold its time. */
function endOf(expiresOn: Date | number | undefined, se: string | null): number {
  if (expiresOn !== undefined) return Number(expiresOn)
  const endMs = se === null ? Number.NaN : Date.parse(se)
  return Number.isNaN(endMs) ? Number.MAX_SAFE_INTEGER : endMs
}

function noSignature(): FileSystemError {
  const detail =
    'sasProvider expected { sas, expiresOn? } with a shared access signature: it has no sig'
  return new FileSystemError('EINVAL', 'credential.sas', { path: 'sas', detail })
}
