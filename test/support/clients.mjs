// Runs the verbs of Azure's own JavaScript clients against an account, as clients.py does for
// Python's: the same arguments (`blob` or `datalake`, account, credential) and environment.
import { ClientSecretCredential } from '@azure/identity'
import { StorageSharedKeyCredential as BlobKey, BlobServiceClient } from '@azure/storage-blob'
import {
  DataLakeServiceClient,
  StorageSharedKeyCredential as LakeKey,
} from '@azure/storage-file-datalake'

const [client, account, kind] = process.argv.slice(2)
const { ENDPOINT, CONTAINER, ROOT, KEY, SAS, SIZE } = process.env
const large = Buffer.alloc(Number(SIZE), 'large')

function held(verb, truth) {
  if (!truth) throw new Error(verb)
  console.log(verb)
}

function serviceOf(Service, Key) {
  if (kind === 'sas') return new Service(`${ENDPOINT}?${SAS}`)
  if (kind === 'key') return new Service(ENDPOINT, new Key(account, KEY))
  const { AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET } = process.env
  return new Service(
    ENDPOINT,
    new ClientSecretCredential(AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET),
  )
}

async function namesOf(pages) {
  const names = []
  for await (const { name } of pages) names.push(name)
  return names
}

async function blobVerbs() {
  const container = serviceOf(BlobServiceClient, BlobKey).getContainerClient(CONTAINER)
  const small = container.getBlockBlobClient(`${ROOT}/small.txt`)
  await small.upload('small', 5)
  held('create', (await small.downloadToBuffer()).toString() === 'small')
  const big = container.getBlockBlobClient(`${ROOT}/deep/large.bin`)
  await big.uploadData(large, { blockSize: 4 * 1024 * 1024, maxSingleShotSize: 0, concurrency: 4 })
  held('upload large', (await big.getBlockList('committed')).committedBlocks?.length > 1)
  held('download large', (await big.downloadToBuffer()).equals(large))
  const names = (await namesOf(container.listBlobsFlat({ prefix: `${ROOT}/` }))).filter((name) =>
    /\.\w+$/.test(name),
  )
  held('list flat', names.length === 2)
  const shown = await namesOf(container.listBlobsByHierarchy('/', { prefix: `${ROOT}/` }))
  held('list', shown.sort().join() === `${ROOT}/deep/,${ROOT}/small.txt`)
  const copy = container.getBlockBlobClient(`${ROOT}/copy.txt`)
  const source = kind === 'sas' ? small.url : `${small.url}?${SAS}`
  await (await copy.beginCopyFromURL(source, { intervalInMs: 10 })).pollUntilDone()
  held('copy', (await copy.downloadToBuffer()).toString() === 'small')
  for (const blob of [small, big, copy]) await blob.delete()
  held('delete', !(await small.exists()))
}

async function datalakeVerbs() {
  const system = serviceOf(DataLakeServiceClient, LakeKey).getFileSystemClient(CONTAINER)
  const root = system.getDirectoryClient(ROOT)
  const small = root.getFileClient('small.txt')
  await small.create()
  await small.append('small', 0, 5)
  await small.flush(5)
  held('create', (await small.readToBuffer()).toString() === 'small')
  const big = root.getFileClient('deep/large.bin')
  await big.upload(large, { chunkSize: 8 * 1024 * 1024, singleUploadThreshold: 1024 * 1024 })
  held('upload large', (await big.getProperties()).contentLength === large.length)
  held('download large', (await big.readToBuffer()).equals(large))
  held('list flat', (await namesOf(system.listPaths({ path: ROOT }))).length === 2)
  const all = await namesOf(system.listPaths({ path: ROOT, recursive: true }))
  held('list', all.length === 3)
  const acl = { accessControlType: 'user', entityId: 'someone', defaultScope: false }
  const permissions = { read: true, write: true, execute: true }
  const { counters } = await root.updateAccessControlRecursive([{ ...acl, permissions }])
  held('access lists of a tree', counters.changedFilesCount === 2)
  await root.move(`${ROOT}-moved`)
  const moved = system.getDirectoryClient(`${ROOT}-moved`)
  held('rename', (await moved.getFileClient('small.txt').exists()) && !(await root.exists()))
  await moved.delete(true)
  held('delete', !(await moved.exists()))
}

await (client === 'blob' ? blobVerbs() : datalakeVerbs())
