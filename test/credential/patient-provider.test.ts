import t from 'tap'
import type { Credential } from '../../src/credential/credential.ts'
import { patientProvider } from '../../src/credential/patient-provider.ts'
import { FileSystemError } from '../../src/errors.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

const credential: Credential = { kind: 'bearer', token: 'token', expiresAtMs: 1e15 }
const scope = { account: 'acct', service: 'blob', permissions: ['read'] } as const

function failing(failure: FileSystemError) {
  const state = { asked: 0, isDown: true }
  const getCredential = async (): Promise<Credential> => {
    state.asked += 1
    if (state.isDown) throw failure
    return credential
  }
  return { state, provider: { getCredential } }
}

const down = new FileSystemError('EIO', 'connector.credentials', { retryable: true })

t.test('who is down is asked until it answers', async (t) => {
  const clock = new FakeClock()
  const { state, provider } = failing(down)
  const patient = patientProvider(provider, { clock, isEndless: () => true })
  const asking = patient.getCredential(scope)
  for (let hour = 0; hour < 100; hour += 1) {
    while (clock.sleeping === 0) await settle()
    await clock.advance(3_600_000)
  }
  while (clock.sleeping === 0) await settle()
  state.isDown = false
  await clock.advance(3_600_000)

  t.equal(await asking, credential)
  t.equal(state.asked, 102)
})

t.test('a refusal is told at once, and what is passing when patience ends', async (t) => {
  const clock = new FakeClock()
  const refused = failing(new FileSystemError('EACCES', 'connector.credentials', {}))
  const refusing = patientProvider(refused.provider, { clock, isEndless: () => true })
  await t.rejects(refusing.getCredential(scope), { code: 'EACCES' })

  let isEndless = true
  const patient = patientProvider(failing(down).provider, { clock, isEndless: () => isEndless })
  const asking = patient.getCredential(scope)
  while (clock.sleeping === 0) await settle()
  isEndless = false
  await Promise.all([t.rejects(asking, { code: 'EIO' }), clock.advance(1000)])
})
