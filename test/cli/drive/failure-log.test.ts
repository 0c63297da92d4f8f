import type { Logger } from 'pino'
import { test } from 'tap'
import { FailureLog } from '../../../src/cli/drive/failure-log.ts'
import { type ErrnoCode, FileSystemError } from '../../../src/errors.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const failure = (code: ErrnoCode, serviceCode: string, requestId: string) =>
  new FileSystemError(code, 'blob.get', { path: 'abfs://data/a', serviceCode, requestId })

function opened() {
  const clock = new FakeClock()
  const lines: object[] = []
  const log = { warn: (fields: object) => lines.push(fields) } as unknown as Logger
  return { clock, lines, failures: new FailureLog({ log, clock }) }
}

test('what the service refuses is told with its reason, once a minute for each reason', async (t) => {
  const { clock, lines, failures } = opened()

  for (const id of ['one', 'two', 'three']) failures.note(failure('EACCES', 'Forbidden', id))
  failures.note(failure('EIO', 'ServerBusy', 'four'))
  await clock.advance(60_000)
  failures.note(failure('EACCES', 'Forbidden', 'five'))
  failures.note(failure('EACCES', 'Forbidden', 'six'))

  t.match(lines, [
    { code: 'EACCES', error: /Forbidden/, requestId: 'one' },
    { code: 'EIO', error: /ServerBusy/, requestId: 'four' },
    { code: 'EACCES', requestId: 'five', unsaid: 2 },
  ])
  t.equal(lines.length, 3)
})

test('what programs know what to do about is not told', (t) => {
  const { lines, failures } = opened()

  for (const code of ['ENOENT', 'EEXIST', 'ESTALE', 'ENOTEMPTY', 'EINVAL'] as const) {
    failures.note(failure(code, 'Any', 'id'))
  }
  failures.note(new TypeError('of somebody else'))

  t.strictSame(lines, [])
  t.end()
})
