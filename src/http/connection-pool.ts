import type { Clock } from '../clock.ts'
import { Connection, type ConnectionOwner, type PhaseLimits } from './connection.ts'
import type { Exchange, ExchangeHolder } from './exchange.ts'
import { isIdempotent } from './handler.ts'
import { HeadMemory } from './head-memory.ts'
import type { Peer } from './open-socket.ts'
import type { RequestHeads } from './request-head.ts'

export interface ConnectionPoolOptions {
  readonly requestHeads: RequestHeads
  readonly peer: Peer
  readonly limits: PhaseLimits
  readonly clock: Clock
  readonly scratch: Buffer
  readonly maxSockets: number
}

/**
 * A request that must not be sent twice goes out on a kept connection only if it was used this
 * recently: servers close what has been idle for a few seconds, and the loss could not be repaired.
 */
const freshForMs = 1000

/**
 * The connections to one origin. The connection used last is used next, so that those beyond the
 * need go idle and end; requests beyond the limit wait in the order they came. A connection whose answer
 * nobody takes at the moment does not count: whoever should take it may be waiting for another one.
 */
export class ConnectionPool implements ConnectionOwner, ExchangeHolder {
  readonly peer: Peer
  readonly limits: PhaseLimits
  readonly clock: Clock
  readonly scratch: Buffer
  readonly requestHeads: RequestHeads
  readonly heads: HeadMemory = new HeadMemory()
  readonly #maxSockets: number
  readonly #all = new Set<Connection>()
  readonly #idle: Connection[] = []
  readonly #queue: Exchange[] = []
  /** A connection that nobody has asked anything of yet. */
  #ahead: Connection | undefined
  #whenEmpty: (() => void) | undefined

  constructor(options: ConnectionPoolOptions) {
    this.requestHeads = options.requestHeads
    this.peer = options.peer
    this.limits = options.limits
    this.clock = options.clock
    this.scratch = options.scratch
    this.#maxSockets = options.maxSockets
  }

  /** Connections, idle ones included. */
  get size(): number {
    return this.#all.size
  }

  /** Sends `exchange` as soon as a connection may. */
  dispatch(exchange: Exchange): void {
    const connection = this.#takeIdle(exchange)
    if (connection !== undefined) connection.start(exchange)
    else if (this.#ahead !== undefined) this.#takeAhead(exchange, this.#ahead)
    else if (this.#hasRoom()) this.#open(exchange)
    else {
      exchange.holder = this
      this.#queue.push(exchange)
    }
  }

  /** Begins to connect where there is no connection, for a request that is about to come. Never throws. */
  prepare(): void {
    if (this.#all.size > 0 || this.#whenEmpty !== undefined) return
    this.#ahead = new Connection(this, undefined)
    this.#all.add(this.#ahead)
  }

  /** Ends what has taken too long, and connections that nobody used for a while. */
  check(nowMs: number): void {
    for (const connection of [...this.#all]) connection.check(nowMs)
  }

  /** Resolves when the last exchange has its answer and every connection is closed. */
  async close(): Promise<void> {
    for (const connection of [...this.#idle]) connection.destroy()
    this.#ahead?.destroy()
    if (this.#all.size === 0) return
    await new Promise<void>((resolve) => {
      this.#whenEmpty = resolve
    })
  }

  drop(exchange: Exchange): void {
    const at = this.#queue.indexOf(exchange)
    if (at >= 0) this.#queue.splice(at, 1)
  }

  paused(): void {
    const next = this.#hasRoom() ? this.#queue.shift() : undefined
    if (next !== undefined) this.#open(next)
  }

  release(connection: Connection): void {
    if (connection === this.#ahead) this.#ahead = undefined
    const next = this.#queue.shift()
    if (next !== undefined) connection.start(next)
    else if (this.#whenEmpty !== undefined || this.#all.size > this.#maxSockets)
      connection.destroy()
    else {
      this.#idle.push(connection)
      connection.rest()
    }
  }

  closed(connection: Connection, again?: Exchange): void {
    this.#all.delete(connection)
    if (connection === this.#ahead) this.#ahead = undefined
    const at = this.#idle.indexOf(connection)
    if (at >= 0) this.#idle.splice(at, 1)
    const next = again ?? (this.#hasRoom() ? this.#queue.shift() : undefined)
    if (next !== undefined) this.#open(next)
    else if (this.#all.size === 0) this.#whenEmpty?.()
  }

  #hasRoom(): boolean {
    if (this.#all.size < this.#maxSockets) return true
    let running = 0
    for (const connection of this.#all) if (!connection.isPaused) running += 1
    return running < this.#maxSockets
  }

  #open(exchange: Exchange): void {
    this.#all.add(new Connection(this, exchange))
  }

  #takeAhead(exchange: Exchange, connection: Connection): void {
    this.#ahead = undefined
    connection.start(exchange)
  }

  #takeIdle(exchange: Exchange): Connection | undefined {
    const latest = this.#idle.at(-1)
    if (latest === undefined) return undefined
    if (!isIdempotent(exchange.request) && latest.idleForMs > freshForMs) {
      // It must not be in the way of the fresh one, where all places are taken.
      if (this.#all.size >= this.#maxSockets) latest.destroy()
      return undefined
    }
    return this.#idle.pop()
  }
}
