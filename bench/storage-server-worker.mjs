// One storage server in a process of its own: `storage-server-worker.mjs <dist> <account> <key>`.
// Prints its URL as the first line.
import { pathToFileURL } from 'node:url'

const [dist = 'dist', name = '', key = ''] = process.argv.slice(2)
const load = (file) => import(pathToFileURL(`${dist}/storage-server/${file}`).href)
const { createStorageServer } = await load('server.js')
const { createAccount, accountSettings } = await load('model/memory-account.js')
const { createAccessControl } = await load('access/create-access-control.js')

const account = createAccount(accountSettings({ name, keys: [key] }))
const accounts = new Map([[name, account]])
const server = createStorageServer({ accounts, access: createAccessControl() })
process.stdout.write(`${await server.listen()}\n`)
process.on('SIGTERM', async () => {
  await server.close()
  process.exit()
})
