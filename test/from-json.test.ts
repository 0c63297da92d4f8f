import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { systemClock } from '../src/clock.ts'
import { createFileSystem } from '../src/create-file-system.ts'
import { keySignatures } from '../src/given-credential.ts'
import { startSandbox } from '../src/sandbox/sandbox.ts'

t.test('a worker thread makes the file system again, and both see the same files', async (t) => {
  const sandbox = await startSandbox({ containers: ['box'] })
  t.teardown(() => sandbox.close())
  const { account, accountKey, blobEndpoint, caFile } = sandbox
  await using fs = await createFileSystem({
    account,
    blobEndpoint: blobEndpoint.href,
    caFile,
    hns: false,
    integrity: 'none',
    blockBytes: 1 << 20,
    listingTtlMs: 0,
    listingCacheEntries: 1000,
    credential: keySignatures(account, accountKey, systemClock),
    environment: {},
  })
  await fs.writeText('box/from-main', 'hello')
  const recipe = fs.toJSON()
  t.notMatch(JSON.stringify(recipe), accountKey)

  const worker = new Worker(new URL('./support/from-json-worker.ts', import.meta.url), {
    workerData: { recipe, account, accountKey },
  })
  const [answer] = await once(worker, 'message')
  await once(worker, 'exit')

  t.equal(answer.text, 'hello')
  t.strictSame(JSON.parse(JSON.stringify(answer.recipe)), JSON.parse(JSON.stringify(recipe)))
  t.equal(await fs.readText('box/from-worker'), 'HELLO')
})
