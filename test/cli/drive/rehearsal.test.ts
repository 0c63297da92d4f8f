import { readdirSync } from 'node:fs'
import t from 'tap'
import { rehearseReading } from '../../../src/cli/drive/rehearsal.ts'
import { faultChannel, httpChannel } from '../../../src/telemetry.ts'

for (const withDisk of [true, false]) {
  t.test(
    `a rehearsal ${withDisk ? 'through' : 'without'} the disk sends, reports and leaves nothing`,
    async (t) => {
      const directory = t.testdir()
      const events: unknown[] = []
      const note = (event: unknown) => void events.push(event)
      const before = process.env['TMPDIR']
      process.env['TMPDIR'] = directory
      for (const channel of [httpChannel, faultChannel]) channel.subscribe(note)
      t.teardown(() => {
        for (const channel of [httpChannel, faultChannel]) channel.unsubscribe(note)
        if (before === undefined) delete process.env['TMPDIR']
        else process.env['TMPDIR'] = before
      })

      t.equal(await rehearseReading({ withDisk }), true)
      t.same(events, [])
      t.same(readdirSync(directory), [])
    },
  )
}

t.test('a rehearsal without room for its disk says so, and does not fail', async (t) => {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = '/nonexistent'
  t.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  t.equal(await rehearseReading({ withDisk: true }), false)
})
