import type { TokenChallenge } from './challenge.ts'

/**
 * What a holder may do below a scope. `create` is writing a blob that does not exist yet. The last
 * four exist on hierarchical accounts: `move` renames, `execute` passes through directories and
 * reads their access, `ownership` sets owner and group, `permissions` sets modes and access lists.
 */
export type Permission =
  | 'read'
  | 'list'
  | 'create'
  | 'write'
  | 'delete'
  | 'tag'
  | 'move'
  | 'execute'
  | 'ownership'
  | 'permissions'

/** Which endpoint of the account a credential is for: blob and dfs are different audiences. */
export type Service = 'blob' | 'dfs'

/**
 * What a credential is asked for. `container` undefined means the account itself (listing or
 * creating containers); `prefix` undefined or empty means the whole container; a prefix has no
 * leading or trailing slash and is compared segment by segment.
 */
export interface Scope {
  readonly account: string
  readonly service: Service
  readonly container?: string | undefined
  readonly prefix?: string | undefined
  /** The whole name of one blob, for which alone the credential is; there is no prefix then. */
  readonly blob?: string | undefined
  readonly permissions: readonly Permission[]
}

/** An Entra access token: sent as `Authorization: Bearer`. */
export interface BearerCredential {
  readonly kind: 'bearer'
  readonly token: string
  readonly expiresAtMs: number
}

/** A shared access signature: appended to the query of each request, without a leading `?`. */
export interface SasCredential {
  readonly kind: 'sas'
  readonly query: string
  readonly expiresAtMs: number
}

export type Credential = BearerCredential | SasCredential

/** A bearer that shows itself without its token in `inspect` and JSON. */
export function bearerCredential(token: string, expiresAtMs: number): BearerCredential {
  return concealed({ kind: 'bearer', token, expiresAtMs })
}

/** A signature that shows itself without its query in `inspect` and JSON. */
export function sasCredential(query: string, expiresAtMs: number): SasCredential {
  return concealed({ kind: 'sas', query, expiresAtMs })
}

/** How one credential is asked for. */
export interface CredentialOptions {
  readonly signal?: AbortSignal | undefined
  /** Skips every cache on the way: for the one retry after Azure refused the credential. */
  readonly refresh?: boolean | undefined
  /** With `refresh`: what the service wanted of the next one. */
  readonly challenge?: TokenChallenge | undefined
}

/** Gives a live credential for a scope. Implemented by the connector's client, and by caches over it. */
export interface CredentialProvider {
  /**
   * Rejects with `FileSystemError` `EACCES` when the scope is refused (the cause says why), `EIO`
   * (`retryable`) when the issuer cannot be reached.
   */
  getCredential(scope: Scope, options?: CredentialOptions): Promise<Credential>
  /** What {@link getCredential} would give without waiting; providers that keep nothing have none. */
  peek?(scope: Scope): Credential | undefined
}

/** One string per distinct scope: equal scopes, whatever the order of permissions, give equal keys. */
export function scopeKey(scope: Scope): string {
  const permissions = [...scope.permissions].sort().join(',')
  return JSON.stringify([
    scope.account,
    scope.service,
    scope.container ?? null,
    scope.prefix ?? '',
    permissions,
    ...(scope.blob === undefined ? [] : [scope.blob]),
  ])
}

function concealed<T extends Credential>(credential: T): T {
  const { kind, expiresAtMs } = credential
  const show = (): object => ({ kind, expiresAtMs })
  // Not enumerable: the credential compares and spreads as a plain object.
  Object.defineProperty(credential, 'toJSON', { value: show })
  return Object.defineProperty(credential, Symbol.for('nodejs.util.inspect.custom'), {
    value: show,
  })
}
