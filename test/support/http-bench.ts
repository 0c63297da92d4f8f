import type { Test } from 'tap'
import type {
  ClosableHandler,
  HttpHandler,
  HttpRequest,
  TransportOptions,
} from '../../src/http/handler.ts'
import { type FaultServer, type Step, startOn } from './fault-server.ts'
import { type RawServer, type RawServerOptions, startRawServer } from './raw-server.ts'
import type { ServerCertificate } from './server-certificate.ts'

/** A handler under test, and servers that speak as it does: over TLS or plain. */
export interface HttpBench {
  readonly scheme: 'http' | 'https'
  open(t: Test, options?: TransportOptions): HttpHandler
  serve(t: Test, ...steps: readonly Step[]): Promise<FaultServer>
  serveRaw(t: Test, options: Omit<RawServerOptions, 'certificate'>): Promise<RawServer>
}

/** One behaviour of handlers. */
export interface HttpCase {
  readonly title: string
  readonly run: (t: Test, bench: HttpBench) => Promise<void>
}

/** A bench over TLS where there is a certificate. */
export function httpBench(
  create: (options: TransportOptions) => ClosableHandler,
  certificate?: ServerCertificate,
): HttpBench {
  return {
    scheme: certificate === undefined ? 'http' : 'https',
    open(t, options = {}) {
      const { handle, close } = create({ ca: certificate?.cert, ...options })
      t.teardown(close)
      return handle
    },
    serve: (t, ...steps) => startOn(t, certificate, steps),
    serveRaw: (t, options) => startRawServer(t, { ...options, certificate }),
  }
}

/** A GET of `url`. */
export function get(url: URL, rest: Partial<HttpRequest> = {}): HttpRequest {
  return { method: 'GET', url, headers: {}, operation: 'blob.get', ...rest }
}
