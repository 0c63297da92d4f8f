import {
  bearerCredential,
  type Credential,
  type CredentialOptions,
  type CredentialProvider,
  type Scope,
} from '../../src/credential/credential.ts'

/** One call that a {@link ScriptedProvider} received and the test answers. */
export interface ProviderCall {
  readonly scope: Scope
  readonly options: CredentialOptions
  resolve(credential: Credential): void
  reject(error: unknown): void
}

/** A credential provider whose every answer is given by the test. */
export class ScriptedProvider implements CredentialProvider {
  readonly calls: ProviderCall[] = []
  /** Answers a call at once when set. */
  answer: ((scope: Scope, options: CredentialOptions) => Credential | Error) | undefined

  getCredential(scope: Scope, options: CredentialOptions = {}): Promise<Credential> {
    return new Promise((resolve, reject) => {
      this.calls.push({ scope, options, resolve, reject })
      const answer = this.answer?.(scope, options)
      if (answer instanceof Error) reject(answer)
      else if (answer !== undefined) resolve(answer)
    })
  }

  /** The call at `index`; fails the test when it was not made. */
  call(index: number): ProviderCall {
    const call = this.calls[index]
    if (call === undefined) throw new Error(`call ${index} was not made`)
    return call
  }
}

/** A bearer with a readable token. */
export function testBearer(token: string, expiresAtMs: number): Credential {
  return bearerCredential(token, expiresAtMs)
}
