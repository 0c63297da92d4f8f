/** What is revoked; each field narrows the match, `before` alone ends all that were issued earlier. */
export interface Revocation {
  readonly objectId?: string | undefined
  /** `jti`, or Entra's `uti`. */
  readonly tokenId?: string | undefined
  /** Milliseconds since the epoch, by `iat`. */
  readonly before?: number | undefined
}

/** What a token says of itself. */
export interface RevocableToken {
  readonly objectId: string
  readonly tokenId: string | undefined
  readonly issuedMs: number
}

/** Tokens that are good by their signature and ended all the same. */
export class Revocations {
  #list: readonly Revocation[] = []

  get list(): readonly Revocation[] {
    return this.#list
  }

  /** Puts these in the place of all revocations. */
  replace(list: readonly Revocation[]): void {
    this.#list = list
  }

  /** Adds one. */
  add(revocation: Revocation): void {
    this.#list = [...this.#list, revocation]
  }

  /** Whether the token is ended. */
  includes(token: RevocableToken): boolean {
    return this.#list.some(
      ({ objectId, tokenId, before }) =>
        (objectId === undefined || objectId === token.objectId) &&
        (tokenId === undefined || tokenId === token.tokenId) &&
        (before === undefined || token.issuedMs < before),
    )
  }
}
