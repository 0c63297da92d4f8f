import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { askEnd, askReport } from '../../../src/cli/drive/control-client.ts'
import { temporaryDirectory } from '../../support/cli.ts'

/** A daemon that answers whatever is asked with `body`. */
async function daemon(t: Test, body: object) {
  const controlSocket = join(await temporaryDirectory(t), 'daemon.sock')
  const server = createServer((_request, response) => response.end(JSON.stringify(body)))
  server.listen(controlSocket)
  t.teardown(() => server.close())
  await once(server, 'listening')
  return { pid: 7, startTime: '0', directory: '/mnt/d', source: 'abfs://c', controlSocket }
}

const never = new AbortController().signal
const unsaved = [{ path: 'abfs://c/a', error: 'EIO' }]
const credentials = { byKind: {} }
const ofLastYear = {
  ...{ directory: '/mnt/d', source: 'abfs://c', pid: 7, readOnly: false, unsaved },
  calls: { byName: {}, readBytes: 3 },
  traffic: { requests: 5, requestsByOperation: { 'blob.get': 5 }, credentials },
  fieldOfThen: true,
}

t.test('a daemon that counts less is understood: what it does not count is 0', async (t) => {
  const record = await daemon(t, ofLastYear)

  const report = await askReport(record, never)

  t.match(report, { pid: 7, calls: { readBytes: 3, writtenBytes: 0 }, unsaved })
  t.match(report.traffic, { requests: 5, batched: 0, bytesSent: 0 })
})

t.test('of the end only what was not stored is needed', async (t) => {
  const end = await askEnd(await daemon(t, { unsaved }), never)

  t.strictSame(await end(), unsaved)
})

t.test('what cannot be understood is told in words', async (t) => {
  const record = await daemon(t, { hello: 'there' })

  const refusal = { code: 'EIO', message: /its daemon \(pid 7\) answers as this version of abfs/ }
  await t.rejects(askReport(record, never), refusal)
  const end = await askEnd(record, never)
  await t.rejects(end(), refusal)
})
