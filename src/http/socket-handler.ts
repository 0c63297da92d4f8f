import type { SecureContext } from 'node:tls'
import { KiB } from '../byte-range.ts'
import { type Clock, repeat, systemClock } from '../clock.ts'
import type { PhaseLimits } from './connection.ts'
import { ConnectionPool } from './connection-pool.ts'
import { Exchange, type Settlement } from './exchange.ts'
import type { ClosableHandler, HttpRequest, HttpResponse, TransportOptions } from './handler.ts'
import { networkError } from './network-error.ts'
import { peerOf } from './open-socket.ts'
import { RequestHeads } from './request-head.ts'
import { TransportError } from './transport-error.ts'
import { trust } from './trust.ts'

export interface SocketHandlerOptions extends TransportOptions {
  /** How long a connection is kept without a request. Default 30 s. */
  readonly keepAliveMs?: number | undefined
  readonly clock?: Clock | undefined
}

/**
 * The bottom of the HTTP stack: HTTP/1.1 on `node:net` and `node:tls`, with bodies read from the
 * socket straight to where the request wants them. Keep-alive connections without pipelining, TLS,
 * time-outs and size limits; follows no redirect and never decompresses: a range of a blob is what is
 * stored. Repeats one thing only: an idempotent request that met a kept connection which the server
 * was just closing.
 */
export function socketHandler(options: SocketHandlerOptions = {}): ClosableHandler {
  const pools = new SocketPools(options)
  return {
    handle: (request) => pools.send(request),
    prepare: (url) => pools.prepare(url),
    close: () => pools.close(),
  }
}

/** Heads are 1 KiB; the first bytes of a body come with them. */
const scratchBytes = 64 * KiB

class SocketPools {
  readonly #options: SocketHandlerOptions
  readonly #limits: PhaseLimits
  readonly #clock: Clock
  readonly #pools = new Map<string, ConnectionPool>()
  #latest: ConnectionPool | undefined
  readonly #scratch = Buffer.allocUnsafeSlow(scratchBytes)
  #secureContext: SecureContext | undefined
  #stopChecking: (() => void) | undefined
  #closing: Promise<unknown> | undefined

  constructor(options: SocketHandlerOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#limits = {
      connectMs: options.connectTimeoutMs ?? 10_000,
      sendMs: options.sendIdleTimeoutMs ?? 30_000,
      headersMs: options.headersTimeoutMs ?? 60_000,
      bodyMs: options.bodyIdleTimeoutMs ?? 30_000,
      idleMs: options.keepAliveMs ?? 30_000,
    }
  }

  send(request: HttpRequest): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      if (request.signal?.aborted === true) {
        reject(request.signal.reason)
        return
      }
      try {
        this.#dispatch(request, { resolve, reject })
      } catch (error) {
        reject(networkError(request, error))
      }
    })
  }

  /** What fails here fails again for the request, which tells it. */
  prepare(url: URL): void {
    if (this.#closing !== undefined) return
    try {
      this.#poolOf(url).prepare()
      this.#keepChecking()
    } catch {
      // An address that nobody can connect to, or an authority that is none.
    }
  }

  async close(): Promise<void> {
    this.#closing ??= Promise.all([...this.#pools.values()].map((pool) => pool.close()))
    await this.#closing
    this.#stopChecking?.()
    this.#stopChecking = undefined
  }

  #dispatch(request: HttpRequest, settlement: Settlement): void {
    if (this.#closing !== undefined) {
      throw new TransportError('ABFS_HANDLER_CLOSED', 'this client is closed')
    }
    const pool = this.#poolOf(request.url)
    pool.dispatch(new Exchange(request, pool.requestHeads.of(request), settlement))
    this.#keepChecking()
  }

  #keepChecking(): void {
    this.#stopChecking ??= repeat(checkEveryMs(this.#limits), () => this.#check())
  }

  #poolOf(url: URL): ConnectionPool {
    if (this.#latest?.requestHeads.areFor(url) === true) return this.#latest
    const pool = this.#pools.get(url.origin) ?? this.#newPool(url)
    this.#latest = pool
    return pool
  }

  #newPool(url: URL): ConnectionPool {
    const pool = new ConnectionPool({
      requestHeads: new RequestHeads(url),
      peer: peerOf(url, () => this.#trust()),
      limits: this.#limits,
      clock: this.#clock,
      scratch: this.#scratch,
      maxSockets: this.#options.maxSockets ?? 64,
    })
    this.#pools.set(url.origin, pool)
    return pool
  }

  #trust(): SecureContext {
    this.#secureContext ??= trust(this.#options.ca)
    return this.#secureContext
  }

  #check(): void {
    const nowMs = this.#clock.nowMs()
    let connections = 0
    for (const pool of this.#pools.values()) {
      pool.check(nowMs)
      connections += pool.size
    }
    if (connections > 0) return
    this.#stopChecking?.()
    this.#stopChecking = undefined
  }
}

/** Often enough that a time-out is a quarter late at most. */
function checkEveryMs(limits: PhaseLimits): number {
  return Math.min(Math.max(Math.min(...Object.values(limits)) / 4, 5), 1000)
}
