import { join } from 'node:path'
import t from 'tap'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { blobServiceOf } from '../support/sandbox-clients.ts'

const account = { name: 'lake', hierarchical: true }

t.test('a hierarchical account in a directory is there in the next sandbox', async (t) => {
  const directory = join(t.testdir(), 'storage')
  const first = await startSandbox({ account, directory, containers: ['kept'] })
  const blob = blobServiceOf(first).getContainerClient('kept').getBlockBlobClient('deep/er/a')
  const { etag } = await blob.upload('bytes', 5, { metadata: { Case: 'kept' } })
  await t.rejects(startSandbox({ account, directory }), { code: 'EBUSY', message: /process \d+/ })
  await first.close()

  const second = await startSandbox({ account, directory, containers: ['kept'] })
  t.teardown(() => second.close())

  const kept = blobServiceOf(second).getContainerClient('kept').getBlobClient('deep/er/a')
  t.equal((await kept.downloadToBuffer()).toString(), 'bytes')
  t.match(await kept.getProperties(), { etag, metadata: { case: 'kept' } })
})

t.test('an account stays flat or hierarchical in its directory', async (t) => {
  const directory = join(t.testdir(), 'storage')
  const first = await startSandbox({ account, directory })
  await first.close()

  await t.rejects(startSandbox({ account: { name: 'lake' }, engine: 'abfs', directory }), {
    code: 'EINVAL',
    message: /'lake' is hierarchical/,
  })
})

t.test('delegation keys that were ended stay so', async (t) => {
  const directory = join(t.testdir(), 'storage')
  const first = await startSandbox({ account, directory })
  first.storageControl?.delegationKeys.revokeAll('lake')
  const ended = first.storageControl?.delegationKeys.epochs ?? []
  await first.close()

  const second = await startSandbox({ account, directory })
  t.teardown(() => second.close())

  t.equal(ended.length, 1)
  t.strictSame(second.storageControl?.delegationKeys.epochs, ended)
})
