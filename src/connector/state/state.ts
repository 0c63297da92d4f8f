import type { Clock } from '../../clock.ts'
import { FileSystemError } from '../../errors.ts'
import {
  type ConnectorBody,
  connectorBody,
  type KeyBody,
  keyBody,
  type PolicyBody,
  policyBody,
} from '../model/connector.ts'
import { AuditStore } from './audit-store.ts'
import type { Database } from './database.ts'
import { migrate } from './migrations.ts'
import { RecordStore } from './record-store.ts'
import { deriveKey, type KeyRing, seal, unseal } from './seal.ts'

/** What a connector remembers beyond its configuration file. */
export interface State {
  readonly database: Database
  readonly connectors: RecordStore<ConnectorBody>
  readonly policies: RecordStore<PolicyBody>
  readonly keys: RecordStore<KeyBody>
  readonly audit: AuditStore
  /** Grows with each change of a connector, policy or key, in whichever replica. */
  generation(): Promise<number>
  /** Seals every secret anew with the first key of the ring; gives how many records. */
  reseal(): Promise<number>
  /** A key for another purpose than sealing, the same in every replica with this ring. */
  derivedKey(purpose: string): Buffer
  close(): Promise<void>
}

/** What a {@link State} is made of. */
export interface StateOptions {
  readonly database: Database
  readonly ring: KeyRing
  readonly clock: Clock
}

/**
 * Migrates the database and proves that the key ring is the one it was sealed with. Rejects with
 * `EACCES` when it is not, before anything is served or written.
 */
export async function openState(options: StateOptions): Promise<State> {
  const { database, ring, clock } = options
  await migrate(database)
  await proveRing(database, ring)
  const common = { database, ring, clock }
  const connectors = new RecordStore({
    ...common,
    table: 'connectors',
    kind: 'connector',
    schema: connectorBody,
  })
  const policies = new RecordStore({
    ...common,
    table: 'policies',
    kind: 'policy',
    schema: policyBody,
  })
  const keys = new RecordStore({ ...common, table: 'api_keys', kind: 'key', schema: keyBody })
  const audit = new AuditStore(database)
  return {
    database,
    connectors,
    policies,
    keys,
    audit,
    generation: async () => {
      const [row] = await database.query('select n from generation')
      return Number(row?.['n'])
    },
    reseal: async () => {
      const count = (await connectors.reseal()) + (await policies.reseal()) + (await keys.reseal())
      await sealProof(database, ring)
      return count
    },
    derivedKey: (purpose) => deriveKey(ring, purpose),
    close: async () => {
      await audit.close()
      await database.close()
    },
  }
}

const proofPlace = { row: 'seal_check', field: 'sealed' }
const proofText = 'abfs'

async function proveRing(database: Database, ring: KeyRing): Promise<void> {
  await database.query('insert into seal_check values (1, $1) on conflict do nothing', [
    seal(ring, proofPlace, proofText),
  ])
  const [row] = await database.query('select sealed from seal_check where id = 1')
  if (unseal(ring, proofPlace, String(row?.['sealed'])) !== proofText) throw notOurs()
}

async function sealProof(database: Database, ring: KeyRing): Promise<void> {
  await database.query('update seal_check set sealed = $1 where id = 1', [
    seal(ring, proofPlace, proofText),
  ])
}

function notOurs(): FileSystemError {
  const detail = 'the state was sealed by another program: name an empty database'
  return new FileSystemError('EACCES', 'connector.seal', { detail })
}
