import t from 'tap'
import { type BlobServer, refusalOf, startBlobServer } from '../support/blob-server.ts'
import { addContainer } from '../support/storage-request.ts'

async function found({ service }: BlobServer, where: string): Promise<string[]> {
  const names: string[] = []
  for await (const { containerName, name } of service.findBlobsByTags(where)) {
    names.push(`${containerName}/${name}`)
  }
  return names
}

t.test('tags', async (t) => {
  const server = await startBlobServer(t)
  const { container } = server

  t.test('are put with the blob, read, replaced and counted', async (t) => {
    const blob = container.getBlockBlobClient('tagged')
    await blob.upload('x', 1, { tags: { colour: 'red', size: '7' } })
    t.strictSame((await blob.getTags()).tags, { colour: 'red', size: '7' })
    t.equal((await blob.getProperties()).tagCount, 2)

    const { etag } = await blob.getProperties()
    await blob.setTags({ colour: 'blue' })
    t.strictSame((await blob.getTags()).tags, { colour: 'blue' })
    t.equal((await blob.getProperties()).etag, etag)
    await blob.setTags({})
    t.strictSame((await blob.getTags()).tags, {})
  })

  t.test('beyond ten, too long or of other characters are 400', async (t) => {
    const blob = container.getBlockBlobClient('refused')
    await blob.upload('x', 1)
    const eleven = Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`t${n}`, 'v']))

    t.equal(await refusalOf(blob.setTags(eleven)), '400 TagsTooLarge')
    t.equal(await refusalOf(blob.setTags({ a: 'x'.repeat(257) })), '400 TagsTooLarge')
    t.equal(await refusalOf(blob.setTags({ a: 'ü' })), '400 InvalidTag')
    t.equal(await refusalOf(blob.setTags({ '': 'x' })), '400 EmptyTagName')
  })

  t.test('decide conditions on reads and writes', async (t) => {
    const blob = container.getBlockBlobClient('conditions')
    await blob.upload('x', 1, { tags: { a: '5', b: 'yes' } })
    const read = (tagConditions: string) => blob.getProperties({ conditions: { tagConditions } })

    await read(`"a" > '4' AND b = 'yes'`)
    await read(`a = '9' OR NOT (b <> 'yes')`)
    t.equal(await refusalOf(read(`a = '9'`)), '412 ConditionNotMet')
    t.equal(await refusalOf(read(`missing <> 'x'`)), '412 ConditionNotMet')
    t.equal(await refusalOf(read(`a ==== '9'`)), '400 InvalidHeaderValue')
    t.equal(
      await refusalOf(blob.upload('y', 1, { conditions: { tagConditions: `b = 'no'` } })),
      '412 ConditionNotMet',
    )
  })
})

t.test('Find Blobs by Tags', async (t) => {
  const server = await startBlobServer(t)
  const { service, account } = server
  addContainer(account, 'second')
  const put = (container: string, name: string, tags: Record<string, string>) =>
    service.getContainerClient(container).getBlockBlobClient(name).upload('x', 1, { tags })
  await put('first', 'a', { colour: 'red', size: '1' })
  await put('first', 'b', { colour: 'red', size: '2' })
  await put('second', 'c', { colour: 'red', size: '3' })
  await put('second', 'd', { colour: 'blue', 'odd name': 'x/y' })

  t.test('finds across containers, and within one', async (t) => {
    t.strictSame(await found(server, `colour = 'red'`), ['first/a', 'first/b', 'second/c'])
    t.strictSame(await found(server, `colour='red' AND @container='second'`), ['second/c'])
    const names: string[] = []
    for await (const { name } of server.container.findBlobsByTags(`"colour" = 'red'`)) {
      names.push(name)
    }
    t.strictSame(names, ['a', 'b'])
  })

  t.test('compares strings, and quoted names', async (t) => {
    t.strictSame(await found(server, `size > '1' AND size <= '3'`), ['first/b', 'second/c'])
    t.strictSame(await found(server, `"odd name" = 'x/y'`), ['second/d'])
  })

  t.test('answers the tags that the expression names', async (t) => {
    const page = (await service.findBlobsByTags(`size = '1'`).byPage().next()).value
    t.strictSame(page.blobs[0]?.tags, { size: '1' })
  })

  t.test('goes on where a page ended', async (t) => {
    const names: string[] = []
    let pages = 0
    for await (const page of service.findBlobsByTags(`colour > ''`).byPage({ maxPageSize: 3 })) {
      pages++
      names.push(...page.blobs.map(({ name }) => name))
    }
    t.equal(pages, 2)
    t.strictSame(names, ['a', 'b', 'c', 'd'])
  })

  t.test('refuses what the grammar of searches has not', async (t) => {
    for (const where of [
      `colour <> 'red'`,
      `colour = 'red' OR size = '1'`,
      'colour',
      `colour = red`,
      `@container > 'a'`,
    ]) {
      t.equal(await refusalOf(found(server, where)), '400 InvalidQueryParameterValue', where)
    }
  })

  t.test('hierarchical accounts have no tags', async (t) => {
    const hierarchical = await startBlobServer(t, { hierarchical: true })
    const blob = hierarchical.container.getBlockBlobClient('a')
    await blob.upload('x', 1)

    t.equal(await refusalOf(blob.getTags()), '400 BlobTagsNotSupportedForAccountType')
  })
})
