import { type Clock, systemClock } from '../clock.ts'
import { underEither } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import {
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  type Interceptor,
  isIdempotent,
} from './handler.ts'
import { targetOf, wasNeverSent } from './network-error.ts'
import { type RequestBudget, tellingOfPause } from './request-budget.ts'
import { retryAfterMs } from './retry-after.ts'

/** How often, and after how long, what failed for a passing reason is sent again. */
export interface PublicRetryOptions {
  /** Tries altogether. Default 5. */
  readonly maxAttempts?: number | undefined
  /** The longest first wait; doubles per attempt. Default 200 ms. */
  readonly baseDelayMs?: number | undefined
  /** The longest wait of our own; a server may ask for more. Default 10 s. */
  readonly maxDelayMs?: number | undefined
  /** No attempt begins later than this after the first. Default 2 min. */
  readonly deadlineMs?: number | undefined
}

export interface RetryOptions extends PublicRetryOptions {
  /**
   * How long a call may take with all its attempts, the one under way included: then it is cut off, and
   * `ETIMEDOUT`. Absent: each attempt has the time-outs of the transport.
   */
  readonly callTimeoutMs?: number | undefined
  /** While it says so, what fails for a passing reason is repeated: neither attempts nor time are used up. */
  readonly isEndless?: (() => boolean) | undefined
  /** Shared by all requests to one account: how many at once, and the pauses that it asks for. */
  readonly budget?: RequestBudget | undefined
  readonly clock?: Clock | undefined
  /** In [0, 1); spreads waits so that clients that failed together do not return together. */
  readonly random?: (() => number) | undefined
}

/**
 * Repeats what failed for a passing reason: 408, 429, 500, 502, 503, 504 and broken connections, of
 * idempotent requests; and any request that was never sent. `Retry-After` is a lower bound of the
 * wait, here and (by the budget) for every other request to the account; above it the wait is random up to a
 * ceiling that doubles. When attempts or time are used up, resolves with the last answer, or rejects with the last
 * error.
 */
export function retry(options: RetryOptions = {}): Interceptor {
  const settings = withDefaults(options)
  return (next) => (request) =>
    settings.callTimeoutMs === undefined
      ? attemptOnce(next, request, settings)
      : withinTime(next, request, settings)
}

type Optional = 'callTimeoutMs' | 'isEndless' | 'budget'
type Settings = Pick<RetryOptions, Optional> & {
  readonly [Key in Exclude<keyof RetryOptions, Optional>]-?: NonNullable<RetryOptions[Key]>
}

type Outcome =
  | { readonly kind: 'answer'; readonly response: HttpResponse }
  | { readonly kind: 'error'; readonly error: unknown }

function withDefaults(options: RetryOptions): Settings {
  return {
    maxAttempts: options.maxAttempts ?? 5,
    baseDelayMs: options.baseDelayMs ?? 200,
    maxDelayMs: options.maxDelayMs ?? 10_000,
    deadlineMs: options.deadlineMs ?? 120_000,
    callTimeoutMs: options.callTimeoutMs,
    isEndless: options.isEndless,
    budget: options.budget,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  }
}

/** All attempts, cut off when the call has had its time. */
async function withinTime(
  next: HttpHandler,
  request: HttpRequest,
  settings: Settings,
): Promise<HttpResponse> {
  const { callTimeoutMs = 0, clock } = settings
  const isOver = new AbortController()
  const isDone = new AbortController()
  const late = timedOut(request, callTimeoutMs)
  clock.sleep(callTimeoutMs, isDone.signal).then(
    () => isOver.abort(late),
    () => undefined,
  )
  try {
    return await underEither([isOver.signal, request.signal], (signal) =>
      attemptAll(next, { ...request, signal }, settings),
    )
  } finally {
    isDone.abort()
  }
}

function timedOut(request: HttpRequest, callTimeoutMs: number): FileSystemError {
  return new FileSystemError('ETIMEDOUT', request.operation, {
    path: targetOf(request),
    detail: `the call had ${callTimeoutMs} ms with all its attempts, and they are over`,
    retryable: true,
  })
}

/**
 * The first attempt by itself, where it need not wait and nobody may stop taking its bytes: most requests have no
 * other, and take a tenth less without what two asynchronous functions do.
 */
function attemptOnce(
  next: HttpHandler,
  request: HttpRequest,
  settings: Settings,
): Promise<HttpResponse> {
  const { budget, clock } = settings
  if (request.receiver !== undefined || budget?.tryEnter() !== true) {
    return attemptAll(next, request, settings)
  }
  const sentMs = clock.nowMs()
  const latestMs = latestOf(sentMs, settings)
  return next(request).then(
    (response) => {
      budget.note(request.verdictOf?.(response) ?? response, sentMs)
      budget.leave()
      if (!mayChange(response)) return response
      return attemptAll(next, request, settings, {
        outcome: { kind: 'answer', response },
        latestMs,
      })
    },
    (error) => {
      budget.leave()
      return attemptAll(next, request, settings, { outcome: { kind: 'error', error }, latestMs })
    },
  )
}

function latestOf(startedMs: number, { isEndless, deadlineMs }: Settings): number {
  return isEndless?.() ? Number.POSITIVE_INFINITY : startedMs + deadlineMs
}

/** What the first attempt came to, and when the last may begin. */
interface First {
  readonly outcome: Outcome
  readonly latestMs: number
}

async function attemptAll(
  next: HttpHandler,
  request: HttpRequest,
  settings: Settings,
  first?: First,
): Promise<HttpResponse> {
  const latestMs = first?.latestMs ?? latestOf(settings.clock.nowMs(), settings)
  const attempts = { next, settings, latestMs }
  let isUncertain = false
  for (let attempt = 1; ; attempt++) {
    const sent = attempt === 1 ? request : { ...request, attempt }
    const known = attempt === 1 ? first?.outcome : undefined
    const outcome = known ?? (await outcomeOf(sent, attempts))
    if (outcome.kind === 'answer' && !mayChange(outcome.response)) {
      return isUncertain ? { ...outcome.response, mayRepeatItself: true } : outcome.response
    }
    const delayMs = delayAfter(outcome, attempt, settings)
    const isSpent = attempt >= settings.maxAttempts || settings.clock.nowMs() + delayMs > latestMs
    const hasAnotherWay = attempt >= (request.maxAttempts ?? Number.POSITIVE_INFINITY)
    const isLast = hasAnotherWay || (isSpent && settings.isEndless?.() !== true)
    if (isLast || !mayRepeat(request, outcome)) return settle(outcome)
    isUncertain ||= mayHaveTakenEffect(outcome)
    await settings.clock.sleep(delayMs, request.signal)
  }
}

/** It may have been done, and failed to say so. */
function mayHaveTakenEffect(outcome: Outcome): boolean {
  if (outcome.kind === 'error') return !wasNeverSent(outcome.error)
  return outcome.response.status >= 500
}

interface Attempts {
  readonly next: HttpHandler
  readonly settings: Settings
  readonly latestMs: number
}

async function outcomeOf(request: HttpRequest, attempts: Attempts): Promise<Outcome> {
  const { next, settings, latestMs } = attempts
  const { budget } = settings
  if (budget?.tryEnter() === false && !(await budget.enter(request.signal, latestMs))) {
    return { kind: 'error', error: paused(request, budget) }
  }
  let isInside = true
  const leave = () => {
    if (isInside) budget?.leave()
    isInside = false
  }
  const { receiver } = request
  const sentMs = settings.clock.nowMs()
  try {
    const isTelling = budget !== undefined && receiver !== undefined
    const sent = isTelling ? { ...request, receiver: tellingOfPause(receiver, leave) } : request
    const response = await next(sent)
    budget?.note(request.verdictOf?.(response) ?? response, sentMs)
    return { kind: 'answer', response }
  } catch (error) {
    return { kind: 'error', error }
  } finally {
    leave()
  }
}

function paused(request: HttpRequest, budget: RequestBudget): FileSystemError {
  const seconds = Math.ceil(budget.state.pauseMs / 1000)
  return new FileSystemError('EIO', request.operation, {
    path: targetOf(request),
    serviceCode: 'ServerBusy',
    detail: `the account asked all its clients to stay away for another ${seconds} s; try again then`,
    retryable: true,
    // Somebody has waited enough: not to be repeated here.
    cause: new FileSystemError('EIO', request.operation, { detail: 'paused by the account' }),
  })
}

/** A 500 that says what the service does not have says the same the next time. */
function mayChange({ status, headers }: HttpResponse): boolean {
  return isPassing(status) && headers['x-ms-error-code'] !== 'FeatureNotSupported'
}

/** Whether an answer may be another the next time. */
export function isPassing(status: number): boolean {
  return status >= 408 && passingStatuses.has(status)
}

const passingStatuses: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504])

function mayRepeat(request: HttpRequest, outcome: Outcome): boolean {
  const repeatable = isIdempotent(request) && !hasBegun(request)
  if (outcome.kind === 'answer') return repeatable
  const { error } = outcome
  if (!(error instanceof FileSystemError) || !error.retryable) return false
  // Somebody below already made the most of an error that it wrapped: do not multiply attempts.
  if (error.cause instanceof FileSystemError) return false
  return repeatable || wasNeverSent(error)
}

/** The receiver has bytes already: whoever asked goes on behind them with a request of its own. */
function hasBegun({ receiver }: HttpRequest): boolean {
  return receiver !== undefined && receiver.receivedBytes > 0
}

function delayAfter(outcome: Outcome, attempt: number, settings: Settings): number {
  const ceilingMs = Math.min(settings.baseDelayMs * 2 ** (attempt - 1), settings.maxDelayMs)
  const jitterMs = settings.random() * ceilingMs
  if (outcome.kind === 'error') return jitterMs
  const askedMs = retryAfterMs(outcome.response, settings.clock.nowMs())
  // Jitter on top of what the server asks: it asks the same of everybody.
  return askedMs === 0 ? jitterMs : askedMs + jitterMs
}

function settle(outcome: Outcome): HttpResponse {
  if (outcome.kind === 'error') throw outcome.error
  return outcome.response
}
