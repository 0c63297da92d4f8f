import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
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
  const directory = await stateDirectory()
  const ring = parseKeyRing(generateRingLine('test'), 'memory')
  const database = await openEmbeddedDatabase(directory, { sync: false })
  const state = await openState({ database, ring, clock })
  const remove = async (): Promise<void> => {
    await state.close()
    await rm(directory, { recursive: true, force: true })
  }
  return { state, directory, remove }
}

/**
 * A directory with an empty embedded database, the caller's to remove. Making one takes PostgreSQL
 * some 20 seconds of a busy machine, so that it is done once and copied.
 */
export async function stateDirectory(): Promise<string> {
  const template = await emptyDatabase()
  const directory = await mkdtemp(join(tmpdir(), 'abfs-state-'))
  await cp(template, directory, { recursive: true })
  return directory
}

async function emptyDatabase(): Promise<string> {
  const modules = fileURLToPath(new URL('../../node_modules/', import.meta.url))
  const manifest = join(modules, '@electric-sql/pglite/package.json')
  const { version } = JSON.parse(await readFile(manifest, 'utf8'))
  const template = join(modules, `.cache/abfs-tests/pglite-${version}`)
  if (await exists(template)) return template
  const making = join(dirname(template), randomUUID())
  await (await openEmbeddedDatabase(making, { sync: false })).close()
  // Another test file may have been faster: its database is as good.
  await rename(making, template).catch(() => rm(making, { recursive: true }))
  return template
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}
