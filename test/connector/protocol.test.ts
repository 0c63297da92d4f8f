import { test } from 'tap'
import { ConnectorError } from '../../src/connector/connector-error.ts'
import { formatProblem } from '../../src/connector/protocol.ts'
import { parseProblem } from '../../src/connector/read-answer.ts'

const problem = {
  type: 'about:blank',
  code: 'access_denied',
  reason: 'permission_not_granted',
  status: 403,
  detail: 'not granted',
  retryable: false,
}

test('a refusal is read as it was written', async (t) => {
  const error = new ConnectorError('invalid_scope', 'path_outside_root', {
    detail: 'outside',
    hint: 'ask below',
    auditId: 'id-1',
  })
  const read = parseProblem(JSON.parse(formatProblem(error)))

  const { code, reason, status, detail, hint, retryable, auditId } = error
  t.match(read, { code, reason, status, detail, hint, retryable, auditId })
})

test('a reason of a later connector is kept', async (t) => {
  const read = parseProblem({ ...problem, reason: 'moon_phase_wrong' })

  t.match(read, { code: 'access_denied', reason: 'moon_phase_wrong', status: 403 })
  t.match(read?.toFileSystemError('abfs://data'), {
    code: 'EACCES',
    serviceCode: 'moon_phase_wrong',
  })
})

test('a code of a later connector is told by its status', async (t) => {
  const known: [number, string, string][] = [
    [401, 'invalid_client', 'EACCES'],
    [403, 'access_denied', 'EACCES'],
    [409, 'invalid_request', 'EIO'],
    [429, 'temporarily_unavailable', 'EIO'],
    [500, 'server_error', 'EIO'],
    [503, 'temporarily_unavailable', 'EIO'],
  ]
  for (const [status, code, errno] of known) {
    const read = parseProblem({ ...problem, code: 'later_word', status })
    t.equal(read?.code, code, `${status}`)
    t.equal(read?.toFileSystemError('abfs://data').code, errno, `${status}`)
  }
})

test('what is no refusal is not read as one', async (t) => {
  for (const body of [undefined, 'text', {}, { ...problem, reason: 'two words' }]) {
    t.equal(parseProblem(body), undefined)
  }
})
