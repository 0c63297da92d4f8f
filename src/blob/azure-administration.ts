import type { BlobClient, UserDelegationKey } from '@azure/storage-blob'
import type { Clock } from '../clock.ts'
import type { CredentialProvider } from '../credential/credential.ts'
import type { TextSigner } from '../credential/text-signer.ts'
import { FileSystemError, isFileSystemError } from '../errors.ts'
import type { HttpHandler } from '../http/handler.ts'
import { type BlobPath, formatPath } from '../path.ts'
import type {
  AccountFeatures,
  BlobAdministration,
  ContentSettings,
  FormerId,
  SignRequest,
  SnapshotOptions,
  TaggedBlob,
  Tags,
  Tier,
  TierOptions,
  TierState,
} from './administration.ts'
import { endpointBase, formerQuery, resourceUrl } from './azure-request.ts'
import { sdkTransport } from './azure-sdk-transport.ts'
import { type SigningKey, signatureQuery } from './signature.ts'
import type { CallOptions, Conditions } from './store.ts'
import { checkBlobPath, checkContainer } from './validate.ts'

export interface AzureAdministrationOptions {
  readonly account: string
  /** The blob endpoint, host-style or path-style. */
  readonly endpoint: URL
  /** With credentials, retries and time-outs in it. */
  readonly http: HttpHandler
  readonly clock: Clock
  /** Tells whether a user delegation key may be asked for: bearers may. */
  readonly credentials: CredentialProvider
  /** Signs with the account key, where this process has one. */
  readonly signer?: TextSigner | undefined
}

type Sdk = typeof import('@azure/storage-blob')

const pollIntervalMs = 500
const maxDelegationMs = 7 * 24 * 60 * 60 * 1000
/** A key is asked for an hour at least, and serves every signature that ends before it. */
const keyLifeMs = 60 * 60 * 1000
const startAheadMs = 60_000

/** The rare calls of an account of Azure, by way of the Azure SDK, which the first of them loads. */
export class AzureAdministration implements BlobAdministration {
  readonly #options: AzureAdministrationOptions
  readonly #base: string
  #sdk: Promise<Sdk> | undefined
  #key: UserDelegationKey | undefined

  constructor(options: AzureAdministrationOptions) {
    this.#options = options
    this.#base = endpointBase(options.endpoint)
  }

  async getTags(path: BlobPath, options: CallOptions = {}): Promise<Tags> {
    const blob = await this.#blob(path, 'blob.getTags', options)
    return { ...(await blob.getTags(abortable(options))).tags }
  }

  async setTags(path: BlobPath, tags: Tags, options: CallOptions = {}): Promise<void> {
    const blob = await this.#blob(path, 'blob.setTags', options)
    await blob.setTags({ ...tags }, abortable(options))
  }

  async *findByTags(
    container: string,
    expression: string,
    options: CallOptions = {},
  ): AsyncGenerator<TaggedBlob, void> {
    const syscall = 'container.findByTags'
    checkContainer(container, syscall)
    const { sdk, pipeline } = await this.#pipeline({ container, name: '' }, syscall, options)
    const url = resourceUrl(this.#base, { container, name: '' }).href
    const client = new sdk.ContainerClient(url, pipeline)
    for await (const { name, tags } of client.findBlobsByTags(expression, abortable(options))) {
      yield { container, name, tags: { ...tags } }
    }
  }

  async getTier(path: BlobPath, options: CallOptions = {}): Promise<TierState> {
    const blob = await this.#blob(path, 'blob.getTier', options)
    const { accessTier: tier, archiveStatus } = await blob.getProperties(abortable(options))
    return { tier, archiveStatus }
  }

  async setTier(path: BlobPath, tier: Tier, options: TierOptions = {}): Promise<void> {
    const blob = await this.#blob(path, 'blob.setTier', options)
    const { rehydratePriority } = options
    const priority = rehydratePriority === undefined ? {} : { rehydratePriority }
    await blob.setAccessTier(tier, { ...abortable(options), ...priority })
  }

  async createSnapshot(path: BlobPath, options: SnapshotOptions = {}): Promise<string> {
    const blob = await this.#blob(path, 'blob.createSnapshot', options)
    const { ifMatch, metadata } = options
    const { snapshot } = await blob.createSnapshot({
      ...abortable(options),
      ...(ifMatch === undefined ? {} : { conditions: { ifMatch } }),
      ...(metadata === undefined ? {} : { metadata: { ...metadata } }),
    })
    if (snapshot !== undefined) return snapshot
    const detail = 'the service made a snapshot without telling its id'
    throw new FileSystemError('EIO', 'blob.createSnapshot', { path: formatPath(path), detail })
  }

  async restore(path: BlobPath, former: FormerId, options: CallOptions = {}): Promise<void> {
    const syscall = 'blob.restore'
    const blob = await this.#blob(path, syscall, options)
    const source = resourceUrl(this.#base, path, formerQuery(former)).href
    const poller = await blob.beginCopyFromURL(source, abortable(options))
    if (poller.isDone()) return
    for (;;) {
      await this.#options.clock.sleep(pollIntervalMs, options.signal)
      const { copyStatus } = await blob.getProperties(abortable(options))
      if (copyStatus === 'success' || copyStatus === undefined) return
      if (copyStatus === 'pending') continue
      const detail = `the service gave the copy up: ${copyStatus}`
      throw new FileSystemError('EIO', syscall, { path: formatPath(path), detail })
    }
  }

  async deleteFormer(path: BlobPath, former: FormerId, options: CallOptions = {}): Promise<void> {
    const blob = await this.#blob(path, 'blob.deleteFormer', options)
    const { versionId, snapshot } = former
    const state =
      versionId === undefined ? blob.withSnapshot(snapshot) : blob.withVersion(versionId)
    await state.delete(abortable(options))
  }

  async undelete(path: BlobPath, options: CallOptions = {}): Promise<void> {
    const blob = await this.#blob(path, 'blob.undelete', options)
    await blob.undelete(abortable(options))
  }

  async setHeaders(
    path: BlobPath,
    headers: ContentSettings,
    options: CallOptions & Conditions = {},
  ): Promise<void> {
    const blob = await this.#blob(path, 'blob.setHeaders', options)
    const { ifMatch } = options
    const { contentMd5, ...rest } = headers
    const md5 =
      contentMd5 === undefined ? {} : { blobContentMD5: Buffer.from(contentMd5, 'base64') }
    const named = {
      blobContentType: rest.contentType,
      blobContentEncoding: rest.contentEncoding,
      blobContentLanguage: rest.contentLanguage,
      blobContentDisposition: rest.contentDisposition,
      blobCacheControl: rest.cacheControl,
    }
    const given = Object.entries(named).filter(([, value]) => value !== undefined)
    await blob.setHTTPHeaders(
      { ...Object.fromEntries(given), ...md5 },
      { ...abortable(options), ...(ifMatch === undefined ? {} : { conditions: { ifMatch } }) },
    )
  }

  async acquireLease(
    path: BlobPath,
    durationSeconds: number,
    options: CallOptions = {},
  ): Promise<string> {
    const blob = await this.#blob(path, 'blob.acquireLease', options)
    const lease = blob.getBlobLeaseClient()
    await lease.acquireLease(durationSeconds, abortable(options))
    return lease.leaseId
  }

  async renewLease(path: BlobPath, leaseId: string, options: CallOptions = {}): Promise<void> {
    const blob = await this.#blob(path, 'blob.renewLease', options)
    await blob.getBlobLeaseClient(leaseId).renewLease(abortable(options))
  }

  async releaseLease(path: BlobPath, leaseId: string, options: CallOptions = {}): Promise<void> {
    const blob = await this.#blob(path, 'blob.releaseLease', options)
    await blob.getBlobLeaseClient(leaseId).releaseLease(abortable(options))
  }

  async sign(request: SignRequest): Promise<URL> {
    checkContainer(request.path.container, 'sign')
    if (request.path.name !== '') checkBlobPath(request.path, 'sign')
    const key = await this.#signingKey(request)
    const query = signatureQuery(this.#options.account, request, key)
    return resourceUrl(this.#base, request.path, `?${query}`)
  }

  async getFeatures(container: string, options: CallOptions = {}): Promise<AccountFeatures> {
    checkContainer(container, 'capabilities')
    const place = { container, name: '' }
    const [properties, info] = await Promise.all([
      this.#pipeline(place, 'service.properties', options).then(({ sdk, pipeline }) => {
        const service = new sdk.BlobServiceClient(`${this.#base}/`, pipeline)
        return unlessRefused(service.getProperties(abortable(options)))
      }),
      this.#pipeline(place, 'account.info', options).then(({ sdk, pipeline }) => {
        const client = new sdk.ContainerClient(resourceUrl(this.#base, place).href, pipeline)
        return unlessRefused(client.getAccountInfo(abortable(options)))
      }),
    ])
    return {
      softDelete: properties?.deleteRetentionPolicy?.enabled,
      appendBlob: hasAppendBlobs(info?.accountKind, info?.skuName),
    }
  }

  async #signingKey(request: SignRequest): Promise<SigningKey> {
    const { signer, credentials, account } = this.#options
    if (signer !== undefined) return { kind: 'account', signer }
    const scope = { account, service: 'blob', permissions: ['read'] } as const
    const { kind } = await credentials.getCredential(scope, { signal: request.signal })
    if (kind === 'bearer') return { kind: 'delegation', key: await this.#delegationKey(request) }
    throw new FileSystemError('EACCES', 'sign', {
      path: formatPath(request.path),
      detail:
        'the credential is a signature itself, which signs no other; sign in with Entra or an account key',
    })
  }

  async #delegationKey(request: SignRequest): Promise<UserDelegationKey> {
    const nowMs = this.#options.clock.nowMs()
    const { expiresAtMs, path } = request
    if (expiresAtMs > nowMs + maxDelegationMs) {
      throw new RangeError('expiresInMs: expected at most 7 days, as long as delegated keys live')
    }
    const held = this.#key
    if (held !== undefined && held.signedExpiresOn.getTime() >= expiresAtMs) return held
    const { sdk, pipeline } = await this.#pipeline(path, 'service.delegationKey', request)
    const service = new sdk.BlobServiceClient(`${this.#base}/`, pipeline)
    const start = new Date(nowMs - startAheadMs)
    const end = new Date(
      Math.min(Math.max(expiresAtMs, nowMs + keyLifeMs), nowMs + maxDelegationMs),
    )
    this.#key = await service.getUserDelegationKey(start, end, abortable(request))
    return this.#key
  }

  async #blob(path: BlobPath, operation: string, options: CallOptions): Promise<BlobClient> {
    checkBlobPath(path, operation)
    const { sdk, pipeline } = await this.#pipeline(path, operation, options)
    return new sdk.BlobClient(resourceUrl(this.#base, path).href, pipeline)
  }

  async #pipeline(path: BlobPath, operation: string, options: CallOptions) {
    options.signal?.throwIfAborted()
    this.#sdk ??= import('@azure/storage-blob')
    const sdk = await this.#sdk
    const subject = { operation, path: formatPath(path) }
    const pipeline = sdk.newPipeline(new sdk.AnonymousCredential(), {
      httpClient: sdkTransport(this.#options.http, subject, options.signal),
      // The transport retries already, and better: it knows 429 and Retry-After.
      retryOptions: { maxTries: 1 },
    })
    return { sdk, pipeline }
  }
}

/** `undefined` for what the credential may not ask, and where the service, an emulator say, does not know the question. */
async function unlessRefused<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (isFileSystemError(error, 'EACCES', 'EPERM', 'EINVAL', 'ENOTSUP')) return undefined
    throw error
  }
}

/** General accounts of the premium tier have page blobs alone; all others with blobs have append blobs. */
function hasAppendBlobs(kind: string | undefined, sku: string | undefined): boolean | undefined {
  if (kind === 'BlockBlobStorage' || kind === 'BlobStorage') return true
  const isGeneral = kind === 'StorageV2' || kind === 'Storage'
  if (!isGeneral || sku === undefined) return undefined
  return !sku.startsWith('Premium_')
}

function abortable(options: CallOptions): { abortSignal?: AbortSignal } {
  return options.signal === undefined ? {} : { abortSignal: options.signal }
}
