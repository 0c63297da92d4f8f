/**
 * Blob Batch: deletions of one container in one request. Each part is authorized, conditional and answered by
 * itself. The request is sent to the container, which a credential for that container alone may do.
 */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { mapConcurrent } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import type { HttpHandler, HttpRequest, HttpResponse, PartCredential } from '../http/handler.ts'
import { isPassing } from '../http/retry.ts'
import { type BlobPath, formatPath } from '../path.ts'
import { addConditions, baseHeaders, resourceUrl } from './azure-request.ts'
import { errorFrom } from './azure-response.ts'
import { batchAnswers } from './batch-answer.ts'
import type { DeleteManyOptions, Deletion } from './deletion.ts'
import type { CallOptions } from './store.ts'

const operation = 'blob.deleteMany'

/** Of those that are sent one by one, after all, how many at once. */
const aloneAtOnce = 4

/** Then single deletions, which have more patience, are the other way. */
const maxBatchAttempts = 3

/** How long a container is left alone with batches that failed without a reason. */
const pauseMs = 60_000

/** What became of a deletion: `undefined` when it is done, or why it is not. */
type Outcome = FileSystemError | undefined

export interface AzureBatchesOptions {
  readonly http: HttpHandler
  readonly base: string
  readonly clock: Clock
  /** Deletes one blob by a request of its own. */
  readonly deleteAlone: (deletion: Deletion, options: CallOptions) => Promise<void>
}

/** What was learnt from a batch. */
interface Sent {
  /** By the number of their deletion. */
  readonly answers: ReadonlyMap<string, HttpResponse>
  /** Whether what has no answer may be deleted all the same. */
  readonly isUncertain: boolean
  /** Whether that was for a passing reason: single deletions may fail as well. */
  readonly hasFailed: boolean
}

const notSent: Sent = { answers: new Map(), isUncertain: false, hasFailed: false }

/** Deletes by batches where the service takes them, one by one where it does not. */
export class AzureBatches {
  readonly #options: AzureBatchesOptions
  /** Containers for which a batch was refused, and until when none is sent. */
  readonly #refusedUntilMs = new Map<string, number>()

  constructor(options: AzureBatchesOptions) {
    this.#options = options
  }

  /** The outcomes of deletions in one container, at most 256, in their order. */
  async delete(
    deletions: readonly Deletion[],
    options: DeleteManyOptions,
  ): Promise<readonly Outcome[]> {
    const [first] = deletions
    if (first === undefined) return []
    const refusedUntilMs = this.#refusedUntilMs.get(first.path.container) ?? 0
    const isAlone = deletions.length === 1 || this.#options.clock.nowMs() < refusedUntilMs
    const sent = isAlone ? notSent : await this.#send(deletions, first.path, options)
    const probe = sent.hasFailed ? { outcome: await this.#alone(first, sent, options) } : undefined
    if (isAway(probe?.outcome)) return deletions.map((each) => asOf(each, probe?.outcome))
    const limit = Math.min(aloneAtOnce, options.concurrency ?? aloneAtOnce)
    return mapConcurrent(deletions, limit, async (deletion, index) => {
      if (index === 0 && probe !== undefined) return probe.outcome
      const answer = sent.answers.get(String(index))
      if (answer === undefined) return this.#alone(deletion, sent, options)
      if (!mayDiffer(answer)) return outcomeOf(answer, deletion)
      const isUncertain = answer.status >= 500 || answer.mayRepeatItself === true
      return this.#alone(deletion, { isUncertain }, options)
    })
  }

  async #send(
    deletions: readonly Deletion[],
    first: BlobPath,
    { signal }: CallOptions,
  ): Promise<Sent> {
    const { http, base } = this.#options
    try {
      const response = await http({ ...batchRequest(base, first, deletions), signal })
      return this.#read(response, first.container)
    } catch (error) {
      signal?.throwIfAborted()
      if (!(error instanceof FileSystemError)) throw error
      return this.#failed(first.container)
    }
  }

  #read(response: HttpResponse, container: string): Sent {
    const { status, mayRepeatItself = false } = response
    const isAccepted = status < 300
    const answers = isAccepted ? batchAnswers(response) : notSent.answers
    if (answers.size === 0) {
      if (isPassing(busiestPart(response).status)) return this.#failed(container)
      if (!isOfThisBatch(response)) {
        this.#refusedUntilMs.set(container, Number.POSITIVE_INFINITY)
      }
    }
    return { answers, isUncertain: isAccepted || mayRepeatItself, hasFailed: false }
  }

  #failed(container: string): Sent {
    this.#refusedUntilMs.set(container, this.#options.clock.nowMs() + pauseMs)
    return { answers: notSent.answers, isUncertain: true, hasFailed: true }
  }

  async #alone(
    deletion: Deletion,
    { isUncertain }: Pick<Sent, 'isUncertain'>,
    options: CallOptions,
  ): Promise<Outcome> {
    try {
      await this.#options.deleteAlone(deletion, { signal: options.signal })
      return undefined
    } catch (error) {
      options.signal?.throwIfAborted()
      if (!(error instanceof FileSystemError)) throw error
      // The batch may have deleted it: it is gone, as was asked.
      return isUncertain && error.code === 'ENOENT' ? undefined : error
    }
  }
}

/** Whether not even a single deletion was answered, or had an answer that tells nothing of its blob. */
function isAway(outcome: Outcome): boolean {
  return outcome !== undefined && (outcome.retryable || outcome.statusCode === undefined)
}

/** What became of one deletion is taken for what would become of another. */
function asOf({ path }: Deletion, outcome: Outcome): Outcome {
  if (outcome === undefined || outcome.path === formatPath(path)) return outcome
  const { code, retryable, serviceCode } = outcome
  return new FileSystemError(code, operation, {
    path: formatPath(path),
    detail: `it may be there or not: a batch failed, and then the deletion of ${outcome.path} alone`,
    ...(serviceCode === undefined ? {} : { serviceCode }),
    retryable,
    cause: outcome,
  })
}

/** Whether another batch may be taken: this one was too long, or the container is gone. */
function isOfThisBatch({ status, headers }: HttpResponse): boolean {
  const code = headers['x-ms-error-code'] ?? ''
  if (status === 413) return true
  return (status === 404 || status === 409) && code.startsWith('Container')
}

/** Whether a request of its own may do better: it waits, is repeated, and renews a stale credential. */
function mayDiffer({ status }: HttpResponse): boolean {
  return status === 401 || status === 403 || isPassing(status)
}

function outcomeOf(answer: HttpResponse, { path }: Deletion): Outcome {
  if (answer.status < 300) return undefined
  // An earlier attempt has deleted it: it is gone, as was asked.
  if (answer.status === 404 && answer.mayRepeatItself === true) return undefined
  return errorFrom(answer, { operation, path: formatPath(path) })
}

function batchRequest(base: string, first: BlobPath, deletions: readonly Deletion[]): HttpRequest {
  const boundary = `batch_${randomUUID()}`
  const parts = partsOf(base, boundary, deletions)
  return {
    operation,
    method: 'POST',
    url: resourceUrl(base, { ...first, name: '' }, '?restype=container&comp=batch'),
    headers: { ...baseHeaders(), 'content-type': `multipart/mixed; boundary=${boundary}` },
    body: batchBody(boundary, parts, {}),
    bodyOf: (credential) => batchBody(boundary, parts, credential),
    parts: deletions.length,
    verdictOf: busiestPart,
    path: formatPath(first),
    // A deletion that is repeated finds nothing, or by its condition another version.
    idempotent: true,
    maxAttempts: maxBatchAttempts,
  }
}

interface Part {
  /** Up to the target, which a signature may follow. */
  readonly begin: string
  /** Behind the target and the credential. */
  readonly end: string
}

function partsOf(base: string, boundary: string, deletions: readonly Deletion[]): readonly Part[] {
  return deletions.map(({ path, ...conditions }, index) => {
    const headers = addConditions({ 'x-ms-delete-snapshots': 'include' }, conditions)
    headers['content-length'] = '0'
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    const begin =
      `--${boundary}\r\ncontent-type: application/http\r\ncontent-transfer-encoding: binary\r\n` +
      `content-id: ${index}\r\n\r\nDELETE ${resourceUrl(base, path).pathname}`
    return { begin, end: `${lines.join('')}\r\n` }
  })
}

/** Of 256 deletions with long tokens and the longest names it has 3.5 MB, of 4 MB that are allowed. */
function batchBody(
  boundary: string,
  parts: readonly Part[],
  { authorization, query }: PartCredential,
): Uint8Array {
  const signature = query === undefined ? '' : `?${query}`
  const proof = authorization === undefined ? '' : `authorization: ${authorization}\r\n`
  const between = `${signature} HTTP/1.1\r\n${proof}`
  const text = parts.map(({ begin, end }) => `${begin}${between}${end}`).join('')
  return Buffer.from(`${text}--${boundary}--\r\n`)
}

/**
 * What a batch's answer tells of how busy the account is: the answer of a part that says so, else its own,
 * without its time, which is that of many requests.
 */
function busiestPart(response: HttpResponse): HttpResponse {
  const { status, body } = response
  if (status !== 202) return response
  const text = Buffer.from(body.buffer, body.byteOffset, body.length).toString('latin1')
  const busy = /^HTTP\/1\.1 (429|5\d\d)\b/m.exec(text)
  if (busy === null) return { ...response, firstByteMs: undefined }
  const seconds = /^retry-after: *(\d{1,6})\r?$/im.exec(text)?.[1]
  const headers = seconds === undefined ? {} : { 'retry-after': seconds }
  return { status: Number(busy[1]), headers, body: new Uint8Array(0) }
}
