import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import type { Test } from 'tap'

/** Which requests are cut off, and where. */
export interface Cut {
  /** What the first line of the request has, such as `PUT /acct/box/f?comp=block&`. */
  readonly request: RegExp
  /** How many bytes of the request get through, its head included. */
  readonly afterBytes: number
  /** How many requests; all when absent. */
  times?: number
}

/** Stands between a client and a server, and breaks connections in the middle of what the client sends. */
export interface CuttingProxy {
  readonly url: URL
  cut: Cut | undefined
  /** Requests that were cut off. */
  readonly count: number
}

/** A proxy in front of `target` that ends with the test. */
export async function startCuttingProxy(t: Test, target: URL): Promise<CuttingProxy> {
  const sockets = new Set<Socket>()
  const proxy = { url: target, cut: undefined as Cut | undefined, count: 0 }
  const server = createServer((client) => {
    const upstream = dial(Number(target.port), target.hostname)
    const end = (): void => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', end).on('close', end)
    }
    let leftBytes: number | undefined
    client.on('data', (data) => {
      leftBytes ??= begunCut(proxy, data)
      upstream.write(data.subarray(0, leftBytes))
      if (leftBytes === undefined) return
      leftBytes -= Math.min(data.length, leftBytes)
      if (leftBytes > 0) return
      proxy.count += 1
      upstream.end()
      client.resetAndDestroy()
    })
    upstream.pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  proxy.url = new URL(target)
  proxy.url.port = portOf(server)
  return proxy
}

function begunCut({ cut }: CuttingProxy, data: Buffer): number | undefined {
  if (cut === undefined || cut.times === 0) return undefined
  const [line = ''] = data.toString('latin1', 0, 2000).split('\r\n')
  if (!/^[A-Z]+ \S+ HTTP\/1.1$/.test(line) || !cut.request.test(line)) return undefined
  if (cut.times !== undefined) cut.times -= 1
  return cut.afterBytes
}

function portOf(server: Server): string {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return String(address.port)
}
