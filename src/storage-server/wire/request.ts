/** One request as the wire brought it, decoded once. */
export interface StorageRequest {
  readonly face: 'blob' | 'dfs'
  readonly method: string
  readonly account: string
  /** Absent for the account's root. `$root`, `$web` and `$logs` are containers too. */
  readonly container: string | undefined
  /** Decoded name below the container, without a leading slash; absent for the container itself. */
  readonly path: string | undefined
  /** Path of the URL as sent, still encoded, without the query: strings to sign need it. */
  readonly rawPath: string
  /** Whether the account stands in the path (`/account/container`) instead of in the host. */
  readonly pathStyle: boolean
  /** Lower-case names; decoded values; the last one of a repeated name. */
  readonly query: ReadonlyMap<string, string>
  /** Lower-case names, one value each. */
  readonly headers: Readonly<Record<string, string | undefined>>
  /** Names as sent and values in turn, as Node has them: metadata keeps the case of its names. */
  readonly rawHeaders: readonly string[]
  /** `x-ms-version`, or the SAS's `sv`, or the oldest; checked for form. */
  readonly version: string
  /** Answered as `x-ms-request-id`. */
  readonly requestId: string
  readonly secure: boolean
  readonly remoteAddress: string
  /** The whole body, length-checked; `maxBytes` guards memory. May be called once. */
  body(maxBytes?: number): Promise<Uint8Array>
}
