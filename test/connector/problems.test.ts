import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { ClientSecretCredential } from '@azure/identity'
import t from 'tap'
import { problemMeanings } from '../../src/connector/problems.ts'
import { tokenTarget } from '../../src/connector/token-target.ts'
import { identityError, storageError } from '../../src/connector/upstream-error.ts'

t.test('every reason that is declared is given somewhere in the code', async (t) => {
  const folder = fileURLToPath(new URL('../../src/connector', import.meta.url))
  const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts'))
  const texts = await Promise.all(files.map((name) => readFile(`${folder}/${name}`, 'utf8')))
  const source = texts.join('\n')
  for (const reason of Object.keys(problemMeanings)) {
    const given = new RegExp(`(Error\\(\\s*'[a-z_]+',\\s*|reason: |[?:] )'${reason}'`)
    t.ok(given.test(source), reason)
  }
})

const nowMs = Date.UTC(2026, 0, 1)
const refusal = (status: number, message: string, aheadMs: number): Error =>
  Object.assign(new Error(message), {
    name: 'RestError',
    statusCode: status,
    response: { headers: new Headers({ date: new Date(nowMs - aheadMs).toUTCString() }) },
  })

t.test('a refusal by a service with another time is one of clocks', async (t) => {
  for (const [aheadMs, told] of [
    [600_000, /600 s ahead of Azure/],
    [-600_000, /600 s behind Azure/],
  ] as const) {
    const error = storageError(refusal(403, 'no', aheadMs), 'acct', nowMs)
    t.match(error, { reason: 'clock_skew', status: 409, detail: told })
  }
  const near = storageError(refusal(403, 'no', 120_000), 'acct', nowMs)
  t.equal(near.reason, 'delegator_missing')
  const down = storageError(refusal(503, 'down', 600_000), 'acct', nowMs)
  t.equal(down.reason, 'storage_unavailable', 'a failure is no refusal')
})

t.test('an account of another tenant is told as such', async (t) => {
  const issuer = refusal(401, 'Server failed to authenticate. Issuer validation failed.', 0)
  t.match(storageError(issuer, 'acct', nowMs), { reason: 'tenant_mismatch', status: 403 })
  t.equal(storageError(refusal(401, 'no', 0), 'acct', nowMs).reason, 'delegator_missing')
  const [own, other] = ['1', '2'].map((digit) => `${digit.repeat(8)}-0000-4000-8000-000000000000`)
  const credential = new ClientSecretCredential(own ?? '', 'c', 's')
  // What the library says when an account's challenge names a tenant that is not the identity's.
  const asked = credential.getToken('https://storage.azure.com/.default', {
    tenantId: other ?? '',
  })
  const cause = await asked.catch((error: unknown) => error)
  t.match(identityError(cause), {
    reason: 'tenant_mismatch',
    detail: new RegExp(other ?? ''),
  })
})

t.test('a firewall of the account is told from a missing role', async (t) => {
  const walled = Object.assign(refusal(403, 'no', 0), { code: 'AuthorizationFailure' })
  t.match(storageError(walled, 'acct', nowMs), { reason: 'network_denied', status: 403 })
  const roleless = Object.assign(refusal(403, 'no', 0), { code: 'AuthorizationPermissionMismatch' })
  t.equal(storageError(roleless, 'acct', nowMs).reason, 'delegator_missing')
})

t.test('administrators’ credentials are refused by name', async (t) => {
  t.throws(() => tokenTarget('ml/train', 'admin'), { message: /aks_admin_refused/ })
  t.throws(() => tokenTarget('teams.azurecr.io', 'admin'), {
    message: /acr_admin_fallback_refused/,
  })
})
