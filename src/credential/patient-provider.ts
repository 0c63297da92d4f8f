import type { Clock } from '../clock.ts'
import { isFileSystemError } from '../errors.ts'
import type { CredentialProvider } from './credential.ts'

export interface PatientOptions {
  readonly clock: Clock
  /** Whether it asks again; looked at after each failure. */
  readonly isEndless: () => boolean
}

/** A cache in front of it asks its source no sooner than it has made a pause. */
const pauseMs = 1000

/** A provider that asks `provider` again, while `isEndless` says so, when it fails for a passing reason. */
export function patientProvider(
  provider: CredentialProvider,
  { clock, isEndless }: PatientOptions,
): CredentialProvider {
  return {
    peek: (scope) => provider.peek?.(scope),
    getCredential: async (scope, options = {}) => {
      for (;;) {
        try {
          return await provider.getCredential(scope, options)
        } catch (error) {
          const isPassing = isFileSystemError(error) && error.retryable
          if (!isPassing || !isEndless()) throw error
          await clock.sleep(pauseMs, options.signal)
        }
      }
    },
  }
}
