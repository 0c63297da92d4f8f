// A process that transfers a tree until it is killed: `transfer-worker.ts <put|get> <blob endpoint> <source>
// <target> <journal>`. Tells its parent what came of it.
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import { KiB } from '../../src/byte-range.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { undiciHandler } from '../../src/http/undici-handler.ts'

const [operation = '', endpoint = '', source = '', target = '', resume = ''] = process.argv.slice(2)

const { handle, close } = undiciHandler()
const store = new AzureBlobStore({
  account: 'acct',
  endpoint: new URL(endpoint),
  http: handle,
  closeHttp: close,
})
await using fs = new AzureBlobFileSystem({ store, blockBytes: 64 * KiB, concurrency: 4 })
const options = { recursive: true, resume }
const { files, bytes, resumedBytes } =
  operation === 'put'
    ? await fs.put(source, target, options)
    : await fs.get(source, target, options)
process.send?.({ files, bytes, resumedBytes })
