import type { CredentialProvider } from './credential.ts'

/** Holds an account key, and signs with it without showing it. */
export interface TextSigner {
  /** HMAC-SHA256 of `text` in UTF-8 under the key, base64. */
  signText(text: string): string
}

/** `provider` as one that can sign by itself; `undefined` when it holds no key. */
export function textSignerOf(provider: CredentialProvider | undefined): TextSigner | undefined {
  return provider !== undefined && isSigner(provider) ? provider : undefined
}

function isSigner(value: CredentialProvider): value is CredentialProvider & TextSigner {
  return 'signText' in value && typeof value.signText === 'function'
}
