// A process that writes to a storage directory until it is killed: `disk-writer.ts <directory>
// <round>`. Tells its parent of each answer; a blob's bytes say which one it is.
import { openStorageDirectory } from '../../src/storage-server/disk/storage-directory.ts'
import { accountSettings } from '../../src/storage-server/model/memory-account.ts'
import { StorageError } from '../../src/storage-server/wire/storage-error.ts'
import { type AccountRequest, ask } from './disk-account.ts'
import { accountKeys, accountName } from './storage-request.ts'

const [directory = '', round = ''] = process.argv.slice(2)

const storage = await openStorageDirectory(directory, {
  segmentBytes: 300_000,
  compactAfterBytes: 60_000,
})
const account = storage.openAccount(
  accountSettings({ name: accountName, keys: accountKeys, hierarchical: true }),
)

async function acknowledge(request: AccountRequest, said: object): Promise<void> {
  const answer = await ask(account, request)
  if (answer instanceof StorageError) throw answer
  process.send?.(said)
}

async function write(worker: number): Promise<void> {
  for (let at = 0; ; at++) {
    const name = `${worker}-${at % 10}`
    const text = `${round}/${worker}/${at};`
    await acknowledge(
      {
        method: 'PUT',
        target: `/files/tree/${name}`,
        headers: { 'x-ms-blob-type': 'BlockBlob' },
        body: text.repeat(1 + ((at * 7919) % 9000)),
      },
      { name, text },
    )
    if (at % 7 === 6) {
      const target = `/files/tree/${name}`
      await acknowledge({ method: 'DELETE', target }, { name, text: undefined, deleted: true })
    }
    // The parent hears of what was acknowledged before more is.
    await new Promise((resolve) => setImmediate(resolve))
  }
}

if (account.container('files') === undefined) {
  await ask(account, { method: 'PUT', target: '/files?restype=container' })
}
await Promise.all([0, 1, 2].map(write))
