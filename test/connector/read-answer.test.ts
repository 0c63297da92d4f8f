import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import t from 'tap'
import type { ConnectorError } from '../../src/connector/connector-error.ts'
import type { ProblemBody } from '../../src/connector/protocol.ts'
import { credentialAnswer, problemSchema } from '../../src/connector/protocol-schema.ts'
import { parseAnswer, parseProblem } from '../../src/connector/read-answer.ts'

const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
const runs = { seed, numRuns: 3000 }

// Wrong in one of the ways that matter to some field, or right for another one.
const oddValue = fc.constantFrom<unknown>(
  ...[
    undefined,
    null,
    '',
    'x',
    'x'.repeat(65),
    'x'.repeat(1025),
    'Not A Word',
    'a_word1',
    'bearer',
    'sas',
    'dfs',
  ],
  ...[0, -1, 1, 1.5, 2 ** 53, true, false, [], {}, ['read'], ['read', 'read'], ['fly'], [1]],
  ...[
    Array.from({ length: 11 }, () => 'read'),
    { status: 'x' },
    { status: 1.5 },
    { role: 'r' },
    'blob',
    'identity',
  ],
)

/** `right` with up to three fields changed, left out or added. */
function damaged(right: Readonly<Record<string, unknown>>): fc.Arbitrary<Record<string, unknown>> {
  const key = fc.constantFrom(...Object.keys(right), 'unheardOf')
  return fc.array(fc.tuple(key, oddValue), { maxLength: 3 }).map((changes) => {
    const changed = { ...right, ...Object.fromEntries(changes) }
    // As it comes off the wire, where nothing is undefined.
    return JSON.parse(JSON.stringify(changed))
  })
}

const scope = { account: 'a', service: 'blob', container: 'c', prefix: 'p', permissions: ['read'] }
const anyAnswer = fc
  .tuple(
    damaged(scope),
    fc.boolean().chain((isBearer) =>
      damaged({
        ...(isBearer ? { kind: 'bearer', token: 'secret' } : { kind: 'sas', query: 'sig=x' }),
        ...{ expiresInMs: 60_000, reach: 'container', principal: 'me', auditId: 'id' },
      }),
    ),
  )
  .map(([asked, answer]) => ({ scope: asked, ...answer }))

t.test('what is an answer, clients and servers agree on', async (t) => {
  let accepted = 0
  const check = (body: unknown) => {
    const known = credentialAnswer.safeParse(body)
    const read = parseAnswer(body, 1000)
    if (!known.success) return read === undefined
    accepted += 1
    const { expiresInMs, scope: granted, reach, principal, auditId } = known.data
    const told = { scope: granted, reach, principal, auditId }
    const expiresAtMs = 1000 + expiresInMs
    return isDeepStrictEqual(
      { ...read, credential: read?.credential.expiresAtMs },
      { ...told, credential: expiresAtMs },
    )
  }

  fc.assert(fc.property(anyAnswer, check), runs)
  t.ok(accepted > 100, `${accepted} of ${runs.numRuns} were answers; seed ${seed}`)
})

const refusal = {
  code: 'access_denied',
  reason: 'permission_not_granted',
  status: 403,
  detail: 'not granted',
  hint: 'ask',
  retryable: false,
  retryAfterSeconds: 3,
  claims: '{}',
  auditId: 'id',
}
const anyRefusal = fc.tuple(
  damaged(refusal),
  fc.option(damaged({ role: 'r', scope: 's', command: 'c' }), { nil: undefined }),
  fc.option(damaged({ status: 403, code: 'c', requestId: 'r' }), { nil: undefined }),
)

function told(refused: ConnectorError | ProblemBody | undefined): readonly unknown[] {
  const { code, reason, status, detail, hint } = refused ?? {}
  const { retryable, retryAfterSeconds, claims, auditId } = refused ?? {}
  return [code, reason, status, detail, hint, retryable, retryAfterSeconds, claims, auditId]
}

t.test('what is a refusal, clients and servers agree on, but for codes to come', async (t) => {
  let accepted = 0
  const check = ([fields, required, upstream]: readonly unknown[]) => {
    const body = JSON.parse(JSON.stringify(Object.assign({ required, upstream }, fields)))
    const read = parseProblem(body)
    if (/^[a-z]\w*$/.test(body.code) && body.code !== refusal.code) return true
    const known = problemSchema.safeParse({ ...body, type: 'about:blank', title: 'No' })
    if (!known.success) return read === undefined
    accepted += 1
    return isDeepStrictEqual(told(read), told(known.data))
  }

  fc.assert(fc.property(anyRefusal, check), runs)
  t.ok(accepted > 100, `${accepted} of ${runs.numRuns} were refusals; seed ${seed}`)
})
