import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { type AuditRecord, openFileAudit } from '../../src/connector/audit.ts'

function record(auditId: string): AuditRecord {
  const time = new Date(0).toISOString()
  return { time, auditId, action: 'credentials.issue', decision: 'granted' }
}

for (const sync of [false, true]) {
  const title = sync ? 'on the disk' : 'with the kernel'
  test(`each line is ${title} in its order when its write is acknowledged`, async (t) => {
    const file = join(t.testdir(), 'audit.jsonl')
    const audit = await openFileAudit(file, { sync })
    t.teardown(() => audit.close())
    const ids = Array.from({ length: 200 }, (_, index) => `id-${index}`)

    await Promise.all(ids.slice(0, 100).map((id) => audit.write(record(id))))
    for (const id of ids.slice(100, 110)) await audit.write(record(id))
    await Promise.all(ids.slice(110).map((id) => audit.write(record(id))))

    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    t.same(
      lines.map((line) => JSON.parse(line).auditId),
      ids,
    )
  })
}

test('what the disk does not confirm is not acknowledged', async (t) => {
  const kernel = await openFileAudit('/dev/null')
  const disk = await openFileAudit('/dev/null', { sync: true })
  t.teardown(() => Promise.all([kernel.close(), disk.close()]))

  await t.resolves(kernel.write(record('one')))
  await t.rejects(disk.write(record('one')), { code: 'EINVAL' }, 'there is no disk behind it')
})
