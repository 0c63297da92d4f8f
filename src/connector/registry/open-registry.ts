import type { Clock } from '../../clock.ts'
import { FileSystemError } from '../../errors.ts'
import type { ConnectorBody } from '../model/connector.ts'
import { declaredId, type StoredRecord } from '../model/record.ts'
import type { Policy } from '../policy.ts'
import type { ConnectorSources } from '../sources.ts'
import type { Database } from '../state/database.ts'
import { openEmbeddedDatabase } from '../state/embedded-database.ts'
import { openPostgresDatabase } from '../state/postgres-database.ts'
import { type KeyRing, parseKeyRing } from '../state/seal.ts'
import { openState, type State } from '../state/state.ts'
import type { DeclaredConfig, StateConfig } from './declared-config.ts'
import type { Declared } from './registry.ts'

/** Reads the secret of a Key Vault that a URL names. */
export type VaultReader = (secret: URL) => Promise<string>

/** Opens the state that a configuration names. Rejects with what the database or the ring is short of. */
export async function openConfiguredState(
  config: StateConfig,
  sources: ConnectorSources,
  clock: Clock,
  vault: VaultReader,
): Promise<State> {
  const ring = await readRing(config, sources, vault)
  const database = await openDatabase(config, sources)
  try {
    return await openState({ database, ring, clock })
  } catch (error) {
    await database.close()
    throw error
  }
}

/** The declarations of a file as records, whose ids are the same at each start. */
export function declaredRecords(config: DeclaredConfig, policy: Policy): Declared {
  return {
    connectors: config.connectors.map((body) => declared<ConnectorBody>('connector', body)),
    policies: config.policies.map((body) => declared('policy', body)),
    policy,
  }
}

function declared<T extends { readonly name: string }>(kind: string, body: T): StoredRecord<T> {
  const id = declaredId(kind, body.name)
  return { id, revision: 1, createdAtMs: 0, updatedAtMs: 0, body, declared: true }
}

async function readRing(
  config: StateConfig,
  sources: ConnectorSources,
  vault: VaultReader,
): Promise<KeyRing> {
  const { sealingKeysFile: file, sealingKeysEnv: variable, sealingKeysVaultSecret: secret } = config
  if (secret !== undefined) return parseKeyRing(await vault(new URL(secret)), secret)
  const text = await readNamed(sources, 'sealingKeys', file, variable)
  return parseKeyRing(text, file ?? `$${variable}`)
}

async function openDatabase(config: StateConfig, sources: ConnectorSources): Promise<Database> {
  const { directory, sync, postgresUrlFile, postgresUrlEnv } = config
  if (directory !== undefined) {
    return openEmbeddedDatabase(directory, sync === false ? { sync } : {})
  }
  const url = await readNamed(sources, 'postgresUrl', postgresUrlFile, postgresUrlEnv)
  return openPostgresDatabase(url.trim())
}

async function readNamed(
  sources: ConnectorSources,
  field: string,
  file: string | undefined,
  variable = '',
): Promise<string> {
  if (file === undefined) {
    const value = sources.env(variable) ?? ''
    if (value !== '') return value
    throw unreadable(`state.${field}Env: the environment variable ${variable} is not set`)
  }
  try {
    return await sources.readFile(file)
  } catch (cause) {
    throw unreadable(`state.${field}File: '${file}' cannot be read`, cause)
  }
}

function unreadable(detail: string, cause?: unknown): FileSystemError {
  return new FileSystemError('EINVAL', 'connector.config', { detail, cause })
}
