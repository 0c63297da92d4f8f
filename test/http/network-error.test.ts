import t from 'tap'
import type { HttpRequest } from '../../src/http/handler.ts'
import { networkError, wasNeverSent } from '../../src/http/network-error.ts'
import { retry } from '../../src/http/retry.ts'

const request: HttpRequest = {
  method: 'GET',
  url: new URL('https://acct.blob.core.windows.net/box/f'),
  headers: {},
  operation: 'GetBlob',
}

/** Nobody waits. */
const clock = { nowMs: () => 0, sleep: async () => undefined }

function systemError(code: string, syscall?: string): Error {
  return Object.assign(new Error(`${syscall ?? ''} ${code}`), { code, ...(syscall && { syscall }) })
}

const rows: readonly [
  code: string,
  syscall: string | undefined,
  errno: string,
  neverSent: boolean,
][] = [
  ['EAI_AGAIN', 'getaddrinfo', 'EIO', true],
  ['ECONNREFUSED', 'connect', 'EIO', true],
  ['EHOSTUNREACH', 'connect', 'EIO', true],
  ['EHOSTUNREACH', 'read', 'EIO', false],
  ['EHOSTDOWN', 'connect', 'EIO', true],
  ['EHOSTDOWN', 'write', 'EIO', false],
  ['ENETUNREACH', 'connect', 'EIO', true],
  ['ENETUNREACH', 'read', 'EIO', false],
  ['ENETDOWN', 'connect', 'EIO', true],
  ['ENETDOWN', 'read', 'EIO', false],
  ['EADDRNOTAVAIL', 'connect', 'EIO', true],
  ['ECONNABORTED', 'read', 'EIO', false],
  ['ENETRESET', 'read', 'EIO', false],
  ['ECONNRESET', 'read', 'EIO', false],
  ['EPIPE', 'write', 'EIO', false],
  ['ETIMEDOUT', 'connect', 'ETIMEDOUT', true],
  ['ETIMEDOUT', undefined, 'ETIMEDOUT', true],
  ['ETIMEDOUT', 'read', 'ETIMEDOUT', false],
  ['ETIMEDOUT', 'write', 'ETIMEDOUT', false],
]

for (const [code, syscall, errno, neverSent] of rows) {
  const sent = neverSent ? 'was never sent' : 'may have arrived'
  t.test(
    `${code} of ${syscall ?? 'several addresses'} passes, and the request ${sent}`,
    async (t) => {
      const error = networkError(request, systemError(code, syscall))
      t.match(error, { code: errno, retryable: true })
      t.equal(wasNeverSent(error), neverSent)

      for (const [method, repeats] of [
        ['GET', true],
        ['POST', neverSent],
      ] as const) {
        let tries = 0
        const handler = retry({ maxAttempts: 2, baseDelayMs: 0, clock })((asked) => {
          tries++
          return Promise.reject(networkError(asked, systemError(code, syscall)))
        })
        await t.rejects(handler({ ...request, method }), { code: errno })
        t.equal(tries, repeats ? 2 : 1, method)
      }
    },
  )
}

t.test('a name that does not exist, and what nobody knows, are told at once', (t) => {
  for (const code of ['ENOTFOUND', 'EMFILE', 'E_UNHEARD_OF']) {
    t.equal(networkError(request, systemError(code, 'getaddrinfo')).retryable, false, code)
  }
  t.end()
})
