import type { TokenCredential } from '@azure/core-auth'
import type {
  BlobServiceClient,
  RequestPolicyFactory,
  StoragePipelineOptions,
  UserDelegationKey,
} from '@azure/storage-blob'
import type { Clock } from '../clock.ts'
import { type Fetched, RenewedValues } from './renewed-values.ts'

/** A key with which signatures are made, and the request that brought it. */
export interface DelegationKey {
  readonly key: UserDelegationKey
  readonly expiresAtMs: number
  readonly requestId: string | undefined
}

/** How keys are asked for. */
export interface DelegationKeysOptions {
  readonly credential: TokenCredential
  readonly clock: Clock
  /** The blob endpoint of an account. */
  readonly endpointOf: (account: string) => URL
  /** The Entra scope of an account's blob service. */
  readonly audienceOf: (account: string) => string
  /** PEM of all authorities to trust; the system's when absent. */
  readonly ca?: readonly string[] | undefined
}

/** The version of the storage service that keys and signatures are made for. */
export const STORAGE_VERSION = '2025-05-05'

const keyLifeMs = 6 * 60 * 60_000
/** Azure's clock and ours may differ. */
const startAheadMs = 60_000

/**
 * The user delegation keys of the accounts, one each, in memory only. A key lives six hours and is
 * replaced at half of that; requests for one account that come together share one answer.
 */
export class DelegationKeys {
  readonly #options: DelegationKeysOptions
  readonly #held: RenewedValues<DelegationKey>

  constructor(options: DelegationKeysOptions) {
    this.#options = options
    this.#held = new RenewedValues(options.clock, (account) => this.#fetch(account))
  }

  /** The key of `account`; `refresh` replaces one that may have been revoked. */
  get(account: string, refresh: boolean): Promise<DelegationKey> {
    return this.#held.get(account, refresh)
  }

  /** Loads the library, which is half of what a connector loads, before the first key needs it. */
  async prepare(): Promise<void> {
    await library()
  }

  async #fetch(account: string): Promise<Fetched<DelegationKey>> {
    const nowMs = this.#options.clock.nowMs()
    const client = await this.#client(account)
    const startsOn = new Date(nowMs - startAheadMs)
    const key = await client.getUserDelegationKey(startsOn, new Date(nowMs + keyLifeMs))
    const expiresAtMs = key.signedExpiresOn.getTime()
    return { value: { key, expiresAtMs, requestId: key.requestId }, expiresAtMs }
  }

  async #client(account: string): Promise<BlobServiceClient> {
    const { BlobServiceClient, newPipeline } = await library()
    const { credential, endpointOf, audienceOf, ca } = this.#options
    const options: StoragePipelineOptions & { tlsOptions?: { ca: string[] } } = {
      audience: audienceOf(account),
      retryOptions: { maxTries: 3, tryTimeoutInMs: 10_000, retryDelayInMs: 200 },
      ...(ca === undefined ? {} : { tlsOptions: { ca: [...ca] } }),
    }
    const pipeline = newPipeline(credential, options)
    pipeline.factories.unshift(versionPin)
    return new BlobServiceClient(endpointOf(account).href.replace(/\/$/, ''), pipeline)
  }
}

function library(): Promise<typeof import('@azure/storage-blob')> {
  return import('@azure/storage-blob')
}

/** The library speaks the newest version it knows, which a service may not know yet. */
const versionPin: RequestPolicyFactory = {
  create: (next) => ({
    sendRequest: (request) => {
      request.headers.set('x-ms-version', STORAGE_VERSION)
      return next.sendRequest(request)
    },
  }),
}
