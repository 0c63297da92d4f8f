import { type Clock, systemClock } from '../clock.ts'
import { underEither } from '../concurrency.ts'
import { FileSystemError } from '../errors.ts'
import { GatheringReceiver } from './gathering-receiver.ts'
import type {
  BodyReceiver,
  HttpHandler,
  HttpRequest,
  HttpResponse,
  Interceptor,
} from './handler.ts'
import { RecentLatencies } from './recent-latencies.ts'
import type { RequestBudget } from './request-budget.ts'
import { isPassing } from './retry.ts'

/** When a second request is sent for bytes whose first request keeps silent. */
export interface HedgeOptions {
  /** Of the last reads, how many began sooner than one that is late; percent, above 0 and below 100. Default 95. */
  readonly percentile?: number | undefined
  /** Second requests per read at most, above 0 and at most 1. Default 0.05. */
  readonly maxRatio?: number | undefined
}

interface HedgeParts extends HedgeOptions {
  /** A second request is sent only while there is a place for it. */
  readonly budget?: RequestBudget | undefined
  readonly clock?: Clock | undefined
}

/**
 * Sends a GET once more when its answer has not begun in the time in which `percentile` of the last
 * ones had. Whichever answer begins first is taken and the other request is cancelled. Nothing but a GET is ever
 * sent twice. `hedge` of the second request is true, for telemetry.
 */
export function hedge(parts: HedgeParts = {}): Interceptor {
  const { percentile = 95, maxRatio = 0.05, budget, clock = systemClock } = parts
  check('percentile', percentile, percentile > 0 && percentile < 100)
  check('maxRatio', maxRatio, maxRatio > 0 && maxRatio <= 1)
  const shared = { latencies: new RecentLatencies(percentile), budget, clock }
  let allowance = 0
  const mayHedge = () => {
    if (allowance < 1 || budget?.tryEnter() === false) return false
    allowance -= 1
    return true
  }
  return (next) => (request) => {
    if (request.method !== 'GET') return next(request)
    // Never more than a few in a row: a service that has become slow is not made slower.
    allowance = Math.min(allowance + maxRatio, maxInRow)
    return read(new Race(next, request), { ...shared, mayHedge })
  }
}

const maxInRow = 8

interface Shared {
  readonly latencies: RecentLatencies
  readonly budget: RequestBudget | undefined
  readonly clock: Clock
  readonly mayHedge: () => boolean
}

function check(name: string, value: number, isFine: boolean): void {
  if (isFine) return
  const expected = name === 'maxRatio' ? 'above 0, at most 1' : 'above 0, below 100'
  const detail = `expected a number ${expected}, got ${value}`
  throw new FileSystemError('EINVAL', 'config', { path: `hedge.${name}`, detail })
}

async function read(race: Race, shared: Shared): Promise<HttpResponse> {
  const { latencies, clock } = shared
  const { lateMs } = latencies
  if (lateMs === undefined) return noted(await race.alone(), latencies)
  const sentMs = clock.nowMs()
  const first = race.start(false)
  if (!(await race.isSilentAfter(lateMs, clock)) || !shared.mayHedge()) {
    return noted(race.complete(await first.outcome), latencies)
  }
  const response = await race.decide(first, race.start(true), () => shared.budget?.leave())
  // The first would have taken at least as long: unsaid, late reads would look ever rarer.
  if (race.owner !== first) latencies.note(clock.nowMs() - sentMs)
  else noted(response, latencies)
  return race.complete(response)
}

function noted(response: HttpResponse, latencies: RecentLatencies): HttpResponse {
  if (response.firstByteMs !== undefined) latencies.note(response.firstByteMs)
  return response
}

/** One of the requests for the same bytes. */
interface Leg {
  readonly outcome: Promise<HttpResponse>
  readonly cancelled: AbortController
}

/** Requests for the same bytes: the body of the one whose answer begins first is taken. */
class Race {
  /** Whose answer began first. */
  owner: Leg | undefined
  readonly #next: HttpHandler
  readonly #request: HttpRequest
  readonly #gathered: GatheringReceiver | undefined
  readonly #legs: Leg[] = []
  readonly #begun: Promise<void>
  #tellBegun: () => void = () => undefined
  #onBegin: (() => void) | undefined

  constructor(next: HttpHandler, request: HttpRequest) {
    this.#next = next
    this.#request = request
    this.#begun = new Promise((resolve) => {
      this.#tellBegun = resolve
    })
    this.#gathered = request.receiver === undefined ? new GatheringReceiver(request) : undefined
  }

  /** The request as it is, for who only wants to know how long it takes. */
  alone(): Promise<HttpResponse> {
    return this.#next(this.#request)
  }

  start(isHedge: boolean): Leg {
    const cancelled = new AbortController()
    const mine: { leg?: Leg } = {}
    const request = {
      ...this.#request,
      into: undefined,
      maxBodyBytes: this.#gathered?.limit ?? this.#request.maxBodyBytes,
      receiver: this.#receiverOf(() => mine.leg),
      ...(isHedge ? { hedge: true } : {}),
    }
    const outcome = underEither([cancelled.signal, this.#request.signal], (signal) =>
      this.#next({ ...request, signal }),
    )
    outcome.catch(() => undefined)
    const leg = { outcome, cancelled }
    mine.leg = leg
    this.#legs.push(leg)
    return leg
  }

  /** Waits until the answer begins, or the time is over. */
  async isSilentAfter(ms: number, clock: Clock): Promise<boolean> {
    const done = new AbortController()
    const late = clock.sleep(ms, done.signal).then(
      () => true,
      () => false,
    )
    const settled = this.#legs.map(({ outcome }) => outcome.then(toFalse, toFalse))
    const begun = this.#begun.then(toFalse)
    const isSilent = await Promise.race([late, begun, ...settled])
    done.abort()
    return isSilent
  }

  /** The first answer that is final; that of the first request where there is none. */
  async decide(first: Leg, second: Leg, onDecided: () => void): Promise<HttpResponse> {
    let isDecided = false
    this.#onBegin = () => {
      if (!isDecided) onDecided()
      isDecided = true
    }
    try {
      return await Promise.any([final(first), final(second)])
    } catch {
      return await (this.owner ?? first).outcome
    } finally {
      this.#onBegin()
      first.cancelled.abort(lost())
      second.cancelled.abort(lost())
    }
  }

  /** The answer, its body where the caller wants it. */
  complete(response: HttpResponse): HttpResponse {
    if (response.status >= 300 || this.#gathered === undefined) return response
    return { ...response, body: this.#gathered.body }
  }

  #receiverOf(legOf: () => Leg | undefined): BodyReceiver {
    const target = this.#request.receiver ?? this.#gathered
    if (target === undefined) throw new TypeError('a body without a place for it')
    const isMine = () => this.owner !== undefined && this.owner === legOf()
    return {
      get receivedBytes() {
        return isMine() ? target.receivedBytes : 0
      },
      begin: (status, headers) => {
        this.#claim(legOf())
        target.begin(status, headers)
      },
      next: (resume) => target.next(resume),
      filled: (count) => target.filled(count),
    }
  }

  #claim(leg: Leg | undefined): void {
    if (this.owner !== undefined && this.owner !== leg) throw lost()
    this.owner = leg
    this.#tellBegun()
    this.#onBegin?.()
    for (const each of this.#legs) if (each !== leg) each.cancelled.abort(lost())
  }
}

function toFalse(): boolean {
  return false
}

async function final({ outcome }: Leg): Promise<HttpResponse> {
  const response = await outcome
  if (isPassing(response.status)) throw new Error(`a passing answer: ${response.status}`)
  return response
}

function lost(): FileSystemError {
  return new FileSystemError('EINTR', 'http.hedge', { detail: 'another request was faster' })
}
