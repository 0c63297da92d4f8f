/**
 * Sends metrics to a collector. Nobody waits for it: one request at a time, each with a deadline; one that fails is told in the
 * log and made good by the next, as all figures are since the process began. The last one, when it ends, has
 * {@link lastMs}.
 */
import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { hostname } from 'node:os'
import type { Logger } from 'pino'
import { repeat } from '../../clock.ts'
import type { Labels } from '../../metric.ts'
import { codeOf } from '../exit-codes.ts'
import { packageVersion } from '../version.ts'
import { type OtlpFigures, otlpRequest } from './otlp-request.ts'
import { type OtlpSettings, pairsIn } from './otlp-settings.ts'

/** How long an end waits for the last request. */
const lastMs = 2000

/** Sends what `read` gives, until it is closed; nothing while that is `undefined`. */
export class OtlpExporter {
  readonly #settings: OtlpSettings
  readonly #read: () => OtlpFigures | undefined
  readonly #log: Logger
  readonly #resource: Labels
  readonly #stop: () => void
  #sending: AbortController | undefined
  #failed = false

  constructor(settings: OtlpSettings, read: () => OtlpFigures | undefined, log: Logger) {
    this.#settings = settings
    this.#read = read
    this.#log = log
    this.#resource = {
      'service.version': packageVersion(),
      'service.instance.id': `${hostname()}:${process.pid}`,
      'host.name': hostname(),
      'process.pid': String(process.pid),
      ...settings.resource,
    }
    this.#stop = repeat(settings.intervalMs, () => {
      // Whoever is slow gets fewer.
      if (this.#sending === undefined) void this.#send(settings.timeoutMs, false)
    })
  }

  /** Sends what there is at the end; resolves soon, whatever becomes of it. */
  async close(): Promise<void> {
    this.#stop()
    this.#sending?.abort()
    await this.#send(Math.min(lastMs, this.#settings.timeoutMs), true)
  }

  async #send(timeoutMs: number, isLast: boolean): Promise<void> {
    const sending = new AbortController()
    const deadline = AbortSignal.timeout(timeoutMs)
    this.#sending = sending
    try {
      const figures = this.#read()
      if (figures === undefined) return
      const body = JSON.stringify(otlpRequest(figures, this.#resource))
      const signal = AbortSignal.any([sending.signal, deadline])
      const status = await this.#post(body, signal, isLast)
      if (status < 200 || status >= 300) throw new Error(`the collector answered ${status}`)
      this.#failed = false
    } catch (error) {
      if (sending.signal.aborted) return
      this.#tell(deadline.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error)
    } finally {
      if (this.#sending === sending) this.#sending = undefined
    }
  }

  /** The first failure of several: a collector that is gone for a day is one line. */
  #tell(error: unknown): void {
    const { origin, pathname } = this.#settings.url
    const code = codeOf(error)
    const why = { ...(code === '' ? {} : { code }), error: messageOf(error) }
    if (!this.#failed)
      this.#log.warn({ collector: `${origin}${pathname}`, ...why }, 'metrics are not taken')
    this.#failed = true
  }

  #post(body: string, signal: AbortSignal, isLast: boolean): Promise<number> {
    const { url, headers, ca } = this.#settings
    const request = url.protocol === 'https:' ? requestHttps : requestHttp
    const own = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    const allHeaders = { ...pairsIn(headers.reveal()), ...own }
    // Connections of their own: a minute later a collector may have closed one that was kept.
    const options = { method: 'POST', headers: allHeaders, signal, ca, agent: false } as const
    return new Promise((resolve, reject) => {
      const sent = request(url, options, (response) => {
        response.on('error', reject)
        response.on('end', () => resolve(response.statusCode ?? 0))
        // What it says beyond its status is nothing that anybody could act on.
        response.resume()
      })
      sent.on('error', reject)
      // Who changes the protocol unasked ends the request without an error, and no signal would end it any more.
      sent.on('upgrade', (response, socket) => {
        socket.destroy()
        resolve(response.statusCode ?? 0)
      })
      // The process ends while it serves nothing, but for the last one.
      if (!isLast) sent.on('socket', (socket) => socket.unref())
      sent.end(body)
    })
  }
}

/** Nobody acts on the stack of what another program answered. */
function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
