import type { Clock } from '../clock.ts'

/** The storage account of a sandbox. */
export interface SandboxAccount {
  /** 3 to 24 lower-case letters and digits. */
  readonly name: string
  /** Base64; a random one when absent. */
  readonly key?: string
}

/** How to start a sandbox. */
export interface SandboxOptions {
  /** `devstoreaccount1` with a random key when absent. */
  readonly account?: SandboxAccount
  /** Where blobs are kept, on disk; in memory when absent. Not removed by `close`. */
  readonly directory?: string
  /** Containers to create before the promise resolves; those that exist are kept. */
  readonly containers?: readonly string[]
  /** The time that Entra's stand-in believes; Azurite always uses the system's. */
  readonly clock?: Clock
  /** Life of the tokens issued; one hour when absent. */
  readonly tokenLifetimeMs?: number
}

/** A local Azure: a blob service, an Entra tenant with one client, and managed identity. */
export interface Sandbox {
  readonly account: string
  readonly accountKey: string
  /** `https://127.0.0.1:PORT/ACCOUNT`, without a trailing slash. */
  readonly blobEndpoint: URL
  /** `https://127.0.0.1:PORT/`: the `authorityHost` of @azure/identity, `AZURE_AUTHORITY_HOST`. */
  readonly authorityHost: URL
  readonly tenantId: string
  /** The application that the secret, the certificate and the federated token belong to. */
  readonly clientId: string
  readonly clientSecret: string
  /** PEM: the private key and the certificate registered with the client. */
  readonly clientCertificateFile: string
  /** A signed assertion of the issuer that the client trusts, for `AZURE_FEDERATED_TOKEN_FILE`. */
  readonly federatedTokenFile: string
  /** `http://127.0.0.1:PORT`, for `AZURE_POD_IDENTITY_AUTHORITY_HOST`. */
  readonly imdsEndpoint: URL
  /** `http://127.0.0.1:PORT/msi/token`, for `IDENTITY_ENDPOINT`. */
  readonly identityEndpoint: URL
  /** For `IDENTITY_HEADER`. */
  readonly identityHeader: string
  /** Client id of the user-assigned managed identity; a request without one gets the system's. */
  readonly userAssignedClientId: string
  /** PEM file of the certificate authority that signed every server certificate here. */
  readonly caFile: string
  /** PEM file of the system's roots and `caFile`, for programs that replace their roots by a file. */
  readonly caBundleFile: string
  readonly caPem: string
  /** Shared-key connection string of the account. */
  readonly connectionString: string
  /** Private directory (mode 0700) that holds the files above; removed by `close`. */
  readonly runDirectory: string
  /** What tests turn while it runs. */
  readonly controls: SandboxControls
  /** Variables with which Azure clients and abfs itself work against this sandbox. */
  environment(): Record<string, string>
  /** Stops both services and removes every file but those of `directory`. Never throws. */
  close(): Promise<void>
}

/** Turns the behaviour of the Entra stand-in and of managed identity while they run. */
export interface SandboxControls {
  /** Life of tokens issued from here on. */
  setTokenLifetimeMs(lifetimeMs: number): void
  /** Answers the next token requests, of every kind, with this; `undefined` ends it. */
  setFailure(failure: SandboxFailure | undefined): void
  /** Replaces the client's secret; the old one is refused at once. */
  rotateClientSecret(): string
  /** An assertion of the trusted issuer, with some claims replaced. */
  signFederatedToken(claims?: FederatedClaims): Promise<string>
  /** Tokens issued since the start. */
  readonly tokensIssued: number
}

/** An answer that token endpoints give instead of a token. */
export interface SandboxFailure {
  readonly status: number
  /** OAuth's word, such as `temporarily_unavailable`. */
  readonly error: string
  readonly description: string
  readonly retryAfterSeconds?: number
}

/** Claims of a federated assertion; those absent are the ones the client trusts. */
export interface FederatedClaims {
  readonly issuer?: string
  readonly subject?: string
  readonly audience?: string
  /** Seconds since the epoch. */
  readonly expiresAt?: number
}

/** Starts a local Azure on free loopback ports; resolves once both services answer. */
export async function startSandbox(_options: SandboxOptions = {}): Promise<Sandbox> {
  throw new Error('not started')
}
