import { existsSync } from 'node:fs'
import { inspect } from 'node:util'
import t from 'tap'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { blobServiceOf } from '../support/sandbox-clients.ts'

t.test('a sandbox offers the containers asked for to a client with the account key', async (t) => {
  const sandbox = await startSandbox({ containers: ['alpha', 'beta'] })
  t.teardown(() => sandbox.close())

  const names: string[] = []
  for await (const container of blobServiceOf(sandbox).listContainers()) names.push(container.name)

  t.strictSame(names, ['alpha', 'beta'])
})

t.test('inspecting or serialising a sandbox shows none of its secrets', async (t) => {
  const sandbox = await startSandbox()
  t.teardown(() => sandbox.close())

  const shown = inspect(sandbox, { depth: 9, showHidden: true }) + JSON.stringify({ sandbox })

  for (const secret of [sandbox.accountKey, sandbox.clientSecret, sandbox.identityHeader]) {
    t.notMatch(shown, secret)
  }
  t.match(shown, sandbox.blobEndpoint.href)
})

t.test('close removes the run directory and ends the blob service', async (t) => {
  const sandbox = await startSandbox()

  await sandbox.close()

  t.equal(existsSync(sandbox.runDirectory), false)
  t.throws(() => process.kill(sandbox.blobServicePid, 0), { code: 'ESRCH' })
})
