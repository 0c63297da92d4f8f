// A worker thread that makes a file system again from what another thread's `toJSON` gave, writes and reads.
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../../src/clock.ts'
import { fromJSON } from '../../src/create-file-system.ts'
import { keySignatures } from '../../src/given-credential.ts'

const { recipe, account, accountKey } = workerData
const credential = keySignatures(account, accountKey, systemClock)
await using fs = await fromJSON(recipe, { credential, environment: {} })
const text = await fs.readText('box/from-main')
await fs.writeText('box/from-worker', text.toUpperCase())
parentPort?.postMessage({ text, recipe: fs.toJSON() })
