import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { systemClock } from '../../../src/clock.ts'
import { openEmbeddedDatabase } from '../../../src/connector/state/embedded-database.ts'
import { generateRingLine, parseKeyRing } from '../../../src/connector/state/seal.ts'
import { openState } from '../../../src/connector/state/state.ts'
import { stateDirectory } from '../../support/temp-state.ts'

const script = fileURLToPath(new URL('../../support/state-writer.ts', import.meta.url))
const execArgv = process.execArgv.filter((argument) => argument.includes('typescript'))
const ring = generateRingLine('a')
/** With ABFS_LONG_TESTS=1 it is killed twenty times instead of twice. */
const rounds = process.env['ABFS_LONG_TESTS'] === '1' ? 20 : 2

interface Kept {
  readonly kind: 'open' | 'audit' | 'connector'
  readonly id: string
  readonly secret: string
}

t.test('what was acknowledged is there after kill -9, again and again', async (t) => {
  const directory = await stateDirectory()
  t.teardown(() => rm(directory, { recursive: true }))
  const kept: Kept[] = []
  for (let round = 0; round < rounds; round += 1) {
    kept.push(...(await killedWriter(directory, round)))
    const state = await openState({
      database: await openEmbeddedDatabase(directory),
      ring: parseKeyRing(ring, 'memory'),
      clock: systemClock,
    })
    const rows = await state.database.query('select audit_id from audit')
    const lines = new Set(rows.map((row) => row['audit_id']))
    const lost = kept.filter(({ kind, id }) => kind === 'audit' && !lines.has(id))
    t.equal(lost.length, 0, `no line of ${lines.size} is lost`)
    const connectors = kept.filter(({ kind }) => kind === 'connector')
    t.ok(connectors.length > 0)
    for (const { id, secret } of connectors) {
      if ((await state.connectors.secrets(id))['clientSecret'] !== secret) t.fail(`lost ${id}`)
    }
    await state.close()
  }
})

t.test('a first start that is killed leaves nothing that the next one trips over', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-kill-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const child = fork(script, [directory, ring, '0'], { execArgv })
  await delay(1500)
  child.kill('SIGKILL')
  await once(child, 'exit')
  await (await openEmbeddedDatabase(directory)).close()
  t.pass('it opens')
})

/** Lets a process write for a moment, kills it, and gives what it said was kept. */
async function killedWriter(directory: string, round: number): Promise<readonly Kept[]> {
  const kept: Kept[] = []
  const child = fork(script, [directory, ring, String(round)], { execArgv })
  child.on('message', (message: Kept) => {
    if (message.kind !== 'open') kept.push(message)
    if (kept.length === 400) child.kill('SIGKILL')
  })
  // 'close' comes after the last message that the process sent.
  await once(child, 'close')
  return kept
}
