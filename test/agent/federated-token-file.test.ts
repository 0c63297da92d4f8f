import { readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import {
  type FederatedTokenFile,
  keepFederatedTokenFile,
} from '../../src/agent/federated-token-file.ts'
import { bearerCredential } from '../../src/credential/credential.ts'
import { writePrivateFile } from '../../src/sandbox/run-directory.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { tokensFrom } from '../support/identity-process.ts'

const lifeMs = 600_000

t.test('the file holds a new assertion at half the life of each, and is removed', async (t) => {
  const clock = new FakeClock()
  const written: string[] = []
  let removed = false
  let failure: Error | undefined
  const file = await keepFederatedTokenFile({
    assertion: async () => {
      if (failure !== undefined) throw failure
      return bearerCredential(`assertion-${written.length}`, clock.nowMs() + lifeMs)
    },
    write: async (token) => void written.push(token),
    remove: async () => {
      removed = true
    },
    clock,
  })

  t.strictSame(written, ['assertion-0'], 'at once')
  await clock.advance(lifeMs / 2)
  await settle()
  t.strictSame(written, ['assertion-0', 'assertion-1'])
  failure = new Error('down')
  await clock.advance(lifeMs / 2)
  await settle()
  failure = undefined
  await clock.advance(5_000)
  await settle()
  t.equal(written.length, 3, 'tried again soon after a failure')

  await file.close()
  await clock.advance(lifeMs)
  t.equal(written.length, 3)
  t.equal(removed, true)
})

t.test('no file is left behind when there is no assertion', async (t) => {
  const written: string[] = []
  const keeping: Promise<FederatedTokenFile> = keepFederatedTokenFile({
    assertion: () => Promise.reject(new Error('not vended')),
    write: async (token) => void written.push(token),
    remove: async () => undefined,
    clock: new FakeClock(),
  })

  await t.rejects(keeping, { message: 'not vended' })
  t.strictSame(written, [])
})

t.test('a link that waits in the file’s place is replaced, not followed', async (t) => {
  const directory = t.testdir()
  const file = join(directory, 'token')
  const victim = join(directory, 'victim')
  await writeFile(victim, 'untouched')
  await symlink(victim, file)

  await writePrivateFile(file, 'assertion')

  t.equal(await readFile(victim, 'utf8'), 'untouched')
  t.equal(await readFile(file, 'utf8'), 'assertion')
  t.equal((await stat(file)).mode & 0o777, 0o600)
})

t.test('@azure/identity exchanges the file’s assertion for a token of Entra', async (t) => {
  const sandbox = await startSandbox()
  t.teardown(() => sandbox.close())
  const path = join(t.testdir(), 'federated-token')
  const file = await keepFederatedTokenFile({
    assertion: async () =>
      bearerCredential(await sandbox.controls.signFederatedToken(), Date.now() + lifeMs),
    write: (token) => writePrivateFile(path, token),
    remove: () => rm(path),
    clock: new FakeClock(),
  })

  const [outcome] = await tokensFrom(
    sandbox,
    ['new identity.WorkloadIdentityCredential(offline)'],
    { AZURE_FEDERATED_TOKEN_FILE: path, AZURE_CLIENT_SECRET: '' },
  )
  await file.close()

  t.match(outcome?.claims, { aud: 'https://storage.azure.com', appid: sandbox.clientId })
  await t.rejects(stat(path), { code: 'ENOENT' })
})
