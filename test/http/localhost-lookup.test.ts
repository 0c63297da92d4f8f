import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'tap'
import { localhostLookup } from '../../src/http/localhost-lookup.ts'
import { socketHandler } from '../../src/http/socket-handler.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'

for (const [name, open] of Object.entries({ sockets: socketHandler, undici: undiciHandler })) {
  test(`a name below .localhost is this machine over ${name}`, async (t) => {
    const server = createServer((request, response) => response.end(request.headers.host))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const client = open()
    t.teardown(async () => {
      await client.close()
      server.close()
    })
    const url = new URL(`http://acct.blob.localhost:${port}/`)

    const response = await client.handle({ operation: 'test', method: 'GET', url, headers: {} })

    t.equal(response.status, 200)
    t.equal(Buffer.from(response.body).toString(), url.host)
  })
}

test('the family that is asked for is given, and every one where all are wanted', async (t) => {
  const find = (options: Parameters<typeof localhostLookup>[1]) =>
    new Promise<unknown>((resolve) => {
      localhostLookup('a.localhost', options, (_error, address) => resolve(address))
    })

  t.equal(await find({}), '127.0.0.1')
  t.equal(await find({ family: 6 }), '::1')
  t.equal(await find({ family: 'IPv4' }), '127.0.0.1')
  t.strictSame(await find({ all: true, family: 0 }), [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ])
})

test('what is no such name is for the system to resolve', async (t) => {
  const found = await new Promise<unknown>((resolve) => {
    localhostLookup('127.0.0.7', {}, (_error, address) => resolve(address))
  })

  t.equal(found, '127.0.0.7')
})
