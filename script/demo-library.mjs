// The check through the library, in a process with a client's environment: prints one JSON line per
// file with its sha256, and at the end what went over the wire.
import { createHash } from 'node:crypto'
import { subscribe } from 'node:diagnostics_channel'
import { createFileSystem } from '../dist/index.js'

const [directory] = process.argv.slice(2)
const traffic = { requests: 0, credentials: { received: 0, longestLifeMs: 0, lifeLeftMs: 0 } }
let latestExpiryMs = 0
subscribe('abfs:http', () => {
  traffic.requests += 1
})
subscribe('abfs:credential', ({ lifeMs, expiresAtMs }) => {
  const { credentials } = traffic
  credentials.received += 1
  credentials.longestLifeMs = Math.max(credentials.longestLifeMs, lifeMs)
  latestExpiryMs = Math.max(latestExpiryMs, expiresAtMs)
})

const fs = await createFileSystem({ readOnly: true })
for (const { name, type } of await fs.find(directory, { metadata: true })) {
  if (type !== 'file') continue
  const hash = createHash('sha256')
  for await (const data of await fs.open(name)) hash.update(data)
  const path = name.slice(directory.length + 1)
  console.log(JSON.stringify({ path, sha256: hash.digest('hex') }))
}
await fs.close()
traffic.credentials.lifeLeftMs = Math.max(0, latestExpiryMs - Date.now())
console.log(JSON.stringify({ traffic }))
