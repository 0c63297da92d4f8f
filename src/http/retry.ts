import { type Clock, systemClock } from '../clock.ts'
import { FileSystemError } from '../errors.ts'
import {
  type HttpHandler,
  type HttpRequest,
  type HttpResponse,
  type Interceptor,
  isIdempotent,
} from './handler.ts'
import { wasNeverSent } from './network-error.ts'

export interface RetryOptions {
  /** Tries altogether. Default 5. */
  readonly maxAttempts?: number | undefined
  /** The longest first wait; doubles per attempt. Default 200 ms. */
  readonly baseDelayMs?: number | undefined
  /** The longest wait of our own; a server may ask for more. Default 10 s. */
  readonly maxDelayMs?: number | undefined
  /** No attempt begins later than this after the first. Default 2 min. */
  readonly deadlineMs?: number | undefined
  readonly clock?: Clock | undefined
  /** In [0, 1); spreads waits so that clients that failed together do not return together. */
  readonly random?: (() => number) | undefined
}

/**
 * Repeats what failed for a passing reason: 408, 429, 500, 502, 503, 504 and broken connections, of
 * idempotent requests; and any request that was never sent. `Retry-After` is a lower bound of the
 * wait. When attempts or time are used up, resolves with the last answer, or rejects with the last
 * error.
 */
export function retry(options: RetryOptions = {}): Interceptor {
  const settings = withDefaults(options)
  return (next) => (request) => attemptAll(next, request, settings)
}

type Settings = { readonly [Key in keyof RetryOptions]-?: NonNullable<RetryOptions[Key]> }

type Outcome =
  | { readonly kind: 'answer'; readonly response: HttpResponse }
  | { readonly kind: 'error'; readonly error: unknown }

function withDefaults(options: RetryOptions): Settings {
  return {
    maxAttempts: options.maxAttempts ?? 5,
    baseDelayMs: options.baseDelayMs ?? 200,
    maxDelayMs: options.maxDelayMs ?? 10_000,
    deadlineMs: options.deadlineMs ?? 120_000,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  }
}

async function attemptAll(
  next: HttpHandler,
  request: HttpRequest,
  settings: Settings,
): Promise<HttpResponse> {
  const startedMs = settings.clock.nowMs()
  for (let attempt = 1; ; attempt++) {
    const outcome = await outcomeOf(next, attempt === 1 ? request : { ...request, attempt })
    if (outcome.kind === 'answer' && !isPassing(outcome.response.status)) return outcome.response
    const delayMs = delayAfter(outcome, attempt, settings)
    const spentMs = settings.clock.nowMs() - startedMs
    const isLast = attempt >= settings.maxAttempts || spentMs + delayMs > settings.deadlineMs
    if (isLast || !mayRepeat(request, outcome)) return settle(outcome)
    await settings.clock.sleep(delayMs, request.signal)
  }
}

async function outcomeOf(next: HttpHandler, request: HttpRequest): Promise<Outcome> {
  try {
    return { kind: 'answer', response: await next(request) }
  } catch (error) {
    return { kind: 'error', error }
  }
}

function isPassing(status: number): boolean {
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
  const askedMs = retryAfterMs(outcome.response.headers['retry-after'], settings.clock)
  // Jitter on top of what the server asks: it asks the same of everybody.
  return askedMs === 0 ? jitterMs : askedMs + jitterMs
}

/** `Retry-After` is seconds or an HTTP date (RFC 9110, 10.2.3); 0 when absent or neither. */
function retryAfterMs(value: string | undefined, clock: Clock): number {
  if (value === undefined) return 0
  if (/^\d+$/.test(value)) return Number(value) * 1000
  const dateMs = Date.parse(value)
  return Number.isNaN(dateMs) ? 0 : Math.max(0, dateMs - clock.nowMs())
}

function settle(outcome: Outcome): HttpResponse {
  if (outcome.kind === 'error') throw outcome.error
  return outcome.response
}
