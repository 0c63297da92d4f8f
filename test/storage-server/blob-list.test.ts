import type { ContainerClient } from '@azure/storage-blob'
import t from 'tap'
import { startBlobServer } from '../support/blob-server.ts'

async function fill(container: ContainerClient, names: readonly string[]): Promise<void> {
  for (const name of names) await container.getBlockBlobClient(name).upload('x', 1)
}

async function flatNames(container: ContainerClient, options = {}, pageSize = 5000) {
  const pages: string[][] = []
  for await (const page of container.listBlobsFlat(options).byPage({ maxPageSize: pageSize })) {
    pages.push(page.segment.blobItems.map(({ name }) => name))
  }
  return pages
}

async function levelNames(
  container: ContainerClient,
  delimiter: string,
  pageSize: number,
  prefix?: string,
) {
  const pages: string[][] = []
  const options = prefix === undefined ? {} : { prefix }
  const listing = container.listBlobsByHierarchy(delimiter, options)
  for await (const { segment } of listing.byPage({ maxPageSize: pageSize })) {
    const prefixes = (segment.blobPrefixes ?? []).map(({ name }) => `${name}*`)
    pages.push([...prefixes, ...segment.blobItems.map(({ name }) => name)])
  }
  return pages
}

void t.test('flat pages follow the order of UTF-8 and end exactly', async (t) => {
  const { container } = await startBlobServer(t)
  const names = ['a', 'a/b', 'ab', 'é', '\uff5e', '😀']
  await fill(container, [...names].reverse())

  t.same(await flatNames(container, {}, 2), [names.slice(0, 2), names.slice(2, 4), names.slice(4)])
  t.same(await flatNames(container, { prefix: 'a' }, 3), [['a', 'a/b', 'ab']])
  t.same(await flatNames(container, { prefix: 'zz' }), [[]])
})

void t.test('a delimiter folds names, across pages and whatever the string', async (t) => {
  const { container } = await startBlobServer(t)
  await fill(container, ['a/1', 'a/2', 'a/c/3', 'b', 'c--d', 'c--e', 'c-f'])

  t.same(await levelNames(container, '/', 2), [['a/*', 'b'], ['c--d', 'c--e'], ['c-f']])
  t.same(await levelNames(container, '/', 10, 'a/'), [['a/c/*', 'a/1', 'a/2']])
  t.same(await levelNames(container, '--', 10), [['c--*', 'a/1', 'a/2', 'a/c/3', 'b', 'c-f']])
})

void t.test('one name may stretch over pages with its snapshots', async (t) => {
  const { container } = await startBlobServer(t)
  await fill(container, ['a', 'b'])
  const blob = container.getBlockBlobClient('a')
  for (let count = 0; count < 3; count++) await blob.createSnapshot()

  const pages = await flatNames(container, { includeSnapshots: true }, 2)

  t.same(pages, [['a', 'a'], ['a', 'a'], ['b']])
  t.same(await flatNames(container), [['a', 'b']])
})

void t.test('include shows metadata, tags, staged blobs and versions', async (t) => {
  const { container } = await startBlobServer(t, { versioning: true })
  const blob = container.getBlockBlobClient('a')
  await blob.upload('one', 3, { metadata: { Colour: 'blue' }, tags: { x: 'y' } })
  await blob.upload('two!', 4)
  await container.getBlockBlobClient('staged').stageBlock('AAAA', 'x', 1)
  const rows: unknown[] = []
  const options = {
    includeMetadata: true,
    includeTags: true,
    includeUncommitedBlobs: true,
    includeVersions: true,
  }

  for await (const {
    name,
    isCurrentVersion,
    metadata,
    tags,
    properties,
  } of container.listBlobsFlat(options)) {
    rows.push([
      name,
      isCurrentVersion ?? false,
      properties.contentLength,
      metadata || {},
      tags ?? {},
    ])
  }

  t.same(rows, [
    ['a', false, 3, { Colour: 'blue' }, { x: 'y' }],
    ['a', true, 4, {}, {}],
    ['staged', false, 0, {}, {}],
  ])
})

void t.test('names that XML cannot hold are marked and encoded', async (t) => {
  const { container, endpoint, sas } = await startBlobServer(t)
  await fill(container, ['odd\uffffname', '<&>\'"'])

  const answer = await fetch(`${endpoint}/first?restype=container&comp=list&${sas}`)
  const text = await answer.text()

  t.match(text, '<Name Encoded="true">odd%EF%BF%BFname</Name>')
  t.match(text, '<Name>&lt;&amp;&gt;&apos;&quot;</Name>')
})

void t.test('startFrom and endBefore cut a listing; bad parameters are refused', async (t) => {
  const { container, endpoint, sas } = await startBlobServer(t)
  await fill(container, ['a', 'b', 'c', 'd'])
  const list = async (query: string) => {
    const answer = await fetch(`${endpoint}/first?restype=container&comp=list&${query}&${sas}`)
    const names = [...(await answer.text()).matchAll(/<Name>([^<]*)</g)].map((match) => match[1])
    return answer.ok ? names.join('') : `${answer.status} ${answer.headers.get('x-ms-error-code')}`
  }

  t.equal(await list('startFrom=b'), 'bcd')
  t.equal(await list('startFrom=b&endBefore=d'), 'bc')
  t.equal(await list('startFrom=a&prefix=c'), 'c')
  t.equal(await list('startFrom=d&prefix=c'), '')
  t.equal(await list('maxresults=0'), '400 OutOfRangeQueryParameterValue')
  t.equal(await list('maxresults=x'), '400 InvalidQueryParameterValue')
  t.equal(await list('marker=a'), '400 InvalidQueryParameterValue')
  t.equal(await list('include=nothing'), '400 InvalidQueryParameterValue')
})

void t.test(
  'on hierarchical accounts directories are rows and prefixes with properties',
  async (t) => {
    const { container, endpoint, sas } = await startBlobServer(t, { hierarchical: true })
    await fill(container, ['d/e/f', 'd-x', 'g'])
    const text = async (query: string) =>
      (await fetch(`${endpoint}/first?restype=container&comp=list&${query}&${sas}`)).text()

    const flat = await text('include=metadata')
    const level = await text('delimiter=/')

    t.same(
      [...flat.matchAll(/<Name>([^<]*)</g)].map((match) => match[1]),
      ['d', 'd/e', 'd/e/f', 'd-x', 'g'],
    )
    t.equal(flat.match(/<hdi_isfolder>true</g)?.length, 2)
    t.equal(flat.match(/<ResourceType>directory</g)?.length, 2)
    t.match(level, /<BlobPrefix><Name>d\/<\/Name><Properties>.*<ResourceType>directory</)
    t.same(
      [...level.matchAll(/<Name>([^<]*)</g)].map((match) => match[1]),
      ['d/', 'd-x', 'g'],
    )
  },
)
