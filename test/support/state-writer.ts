/** Adds connectors, keys and audit lines, and tells its parent of each only when it is kept. */

import { randomUUID } from 'node:crypto'
import { systemClock } from '../../src/clock.ts'
import { openEmbeddedDatabase } from '../../src/connector/state/embedded-database.ts'
import { parseKeyRing } from '../../src/connector/state/seal.ts'
import { openState } from '../../src/connector/state/state.ts'

const [, , directory = '', ring = '', round = ''] = process.argv
const state = await openState({
  database: await openEmbeddedDatabase(directory),
  ring: parseKeyRing(ring, 'argument'),
  clock: systemClock,
})
process.send?.({ kind: 'open' })

async function writeLines(): Promise<void> {
  for (;;) {
    const auditId = randomUUID()
    const time = new Date().toISOString()
    await state.audit.write({ time, auditId, action: 'credentials.issue', decision: 'granted' })
    process.send?.({ kind: 'audit', id: auditId })
  }
}

async function addConnectors(): Promise<void> {
  for (let n = 0; ; n += 1) {
    const { id } = await state.connectors.add(
      {
        name: `c-${round}-${n}`,
        type: 'azure',
        description: '',
        auth: { method: 'service-principal', tenantId: 't', clientId: 'c' },
        resources: [{ type: 'azure-generic', id: 'https://vault.azure.net' }],
        labels: {},
      },
      { clientSecret: `secret-${round}-${n}` },
    )
    process.send?.({ kind: 'connector', id, secret: `secret-${round}-${n}` })
  }
}

await Promise.all([writeLines(), writeLines(), writeLines(), addConnectors()])
