// Reads and writes by managed identity alone, as agent-client.py does, with Azure's library for Node.
import { createInterface } from 'node:readline'
import { DefaultAzureCredential, ManagedIdentityCredential } from '@azure/identity'
import { BlobServiceClient } from '@azure/storage-blob'

const [, , kind] = process.argv
if (kind === 'node-imds') {
  delete process.env.IDENTITY_ENDPOINT
  delete process.env.IDENTITY_HEADER
}
const credential =
  kind === 'node-default' ? new DefaultAzureCredential() : new ManagedIdentityCredential()
const service = new BlobServiceClient(process.env.AZURE_STORAGE_BLOB_ENDPOINT, credential)
const container = service.getContainerClient('data')

async function once(text) {
  const blob = container.getBlockBlobClient(`${kind}/file.txt`)
  await blob.upload(text, text.length)
  const names = []
  for await (const item of container.listBlobsFlat({ prefix: `${kind}/` })) names.push(item.name)
  return `${names} ${await blob.downloadToBuffer()}`
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
console.log('first', await once('one'))
console.log('ready')
await lines.next()
console.log('second', await once('two'))
process.exit()
