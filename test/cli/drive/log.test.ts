import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openLogFile } from '../../../src/cli/drive/log.ts'
import { hiddenFileChannel } from '../../../src/telemetry.ts'

t.test('a log tells of files that a directory hides, and how to reach them', async (t) => {
  const file = join(t.testdir(), 'log')
  openLogFile({ level: 'warn', file })

  hiddenFileChannel.publish({ path: 'abfs://box/a' })

  const line = JSON.parse(readFileSync(file, 'utf8'))
  t.match(line, { path: 'abfs://box/a', msg: /a directory of the same name hides.*abfs cat/ })
})
