import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../src/clock.ts'
import { openEmbeddedDatabase } from '../../src/connector/state/embedded-database.ts'
import { generateRingLine, parseKeyRing } from '../../src/connector/state/seal.ts'
import { openState, type State } from '../../src/connector/state/state.ts'

/** A state in a directory of its own. */
export interface TempState {
  readonly state: State
  readonly directory: string
  /** Closes it and removes the directory. */
  remove(): Promise<void>
}

/** Makes one, sealed with a key of its own. */
export async function tempState(clock: Clock = systemClock): Promise<TempState> {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-state-'))
  const ring = parseKeyRing(generateRingLine('test'), 'memory')
  const state = await openState({ database: await openEmbeddedDatabase(directory), ring, clock })
  const remove = async (): Promise<void> => {
    await state.close()
    await rm(directory, { recursive: true, force: true })
  }
  return { state, directory, remove }
}
