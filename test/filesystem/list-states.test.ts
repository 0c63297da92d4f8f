import t, { type Test } from 'tap'
import { keySignatures } from '../../src/given-credential.ts'
import { administered } from '../support/administered.ts'
import { startBlobServer } from '../support/blob-server.ts'
import { memoryFileSystem } from '../support/file-system.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

/** An account that keeps versions and what was deleted, with a container `first`. */
async function keepingAccount(t: Test, settings = { versioning: true, softDeleteDays: 2 }) {
  const server = await startBlobServer(t, settings)
  const { clock } = server
  const provider = keySignatures(accountName, accountKeys[0], clock)
  const endpoint = new URL(server.endpoint)
  return administered(t, { account: accountName, endpoint, provider, clock })
}

t.test('ls tells the versions of each file, the oldest first, and directories once', async (t) => {
  const fs = await keepingAccount(t)
  for (const text of ['one', 'four', 'three']) await fs.writeText('first/dir/f', text)
  await fs.writeText('first/dir/f2', 'other')
  await fs.writeText('first/dir/sub/deep', 'deep')
  await fs.rm('first/dir/f2')

  const found = await fs.ls('first/dir', { versions: true })

  t.strictSame(
    found.map(({ name, size, type, isCurrent }) => [name, size, type, isCurrent]),
    [
      ['first/dir/f', 3, 'file', false],
      ['first/dir/f', 4, 'file', false],
      ['first/dir/f', 5, 'file', true],
      ['first/dir/f2', 5, 'file', false],
      ['first/dir/sub', 0, 'directory', undefined],
    ],
  )
  t.strictSame(
    (await fs.ls('first/dir')).map(({ name }) => name),
    ['first/dir/f', 'first/dir/sub'],
  )
  const [oldest] = found
  const versionId = oldest?.versionId ?? ''
  t.equal(String(Buffer.from(await fs.readVersion('first/dir/f', { versionId }))), 'one')
  t.strictSame((await fs.ls('first/dir/f', { versions: true })).length, 3)
  t.strictSame((await fs.ls('first/dir/f2', { versions: true })).length, 1)
  await t.rejects(fs.ls('first/never', { versions: true }), { code: 'ENOENT' })
})

t.test('ls tells snapshots of direct children alone', async (t) => {
  const fs = await keepingAccount(t, { versioning: false, softDeleteDays: 0 })
  await fs.writeText('first/f', 'before')
  await fs.writeText('first/dir/g', 'g')
  const snapshot = await fs.createSnapshot('first/f')
  await fs.createSnapshot('first/dir/g')
  await fs.writeText('first/f', 'later on')

  const found = await fs.ls('first', { snapshots: true })

  t.strictSame(
    found.map(({ name, size, snapshot }) => [name, size, snapshot]),
    [
      ['first/dir', 0, undefined],
      ['first/f', 6, snapshot],
      ['first/f', 8, undefined],
    ],
  )
  t.strictSame((await fs.find('first', { snapshots: true })).length, 4)
  t.strictSame((await fs.find('first', { snapshots: true, maxDepth: 1 })).length, 2)
  t.strictSame((await fs.find('', { snapshots: true, maxDepth: 2 })).length, 2)
  const begun = async (path: string, prefix: string) =>
    (await fs.find(path, { snapshots: true, prefix, withDirs: true })).map(({ name }) => name)
  t.strictSame(await begun('first', 'f'), ['first/f', 'first/f'])
  t.strictSame(await begun('first', 'dir/'), ['first/dir/g', 'first/dir/g'])
  t.strictSame(await begun('', 'first/d'), ['first/dir', 'first/dir/g', 'first/dir/g'])
  t.strictSame(await begun('first/f', 'f'), [])
})

t.test('what was deleted is listed where it was, its directory too', async (t) => {
  const fs = await keepingAccount(t, { versioning: false, softDeleteDays: 2 })
  await fs.writeText('first/gone/f', 'text')
  await fs.writeText('first/kept', 'kept')
  await fs.rm('first/gone', { recursive: true })

  t.strictSame(
    (await fs.ls('first', { deleted: true })).map(({ name, type, isDeleted }) => [
      name,
      type,
      isDeleted,
    ]),
    [
      ['first/gone', 'directory', undefined],
      ['first/kept', 'file', false],
    ],
  )
  const [deleted] = await fs.ls('first/gone', { deleted: true })
  t.match(deleted, { name: 'first/gone/f', isDeleted: true, isCurrent: false, daysLeft: 2 })
  t.type(deleted?.deletedMs, 'number')
  t.strictSame((await fs.find('first/gone', { deleted: true })).length, 1)
  t.strictSame(await fs.find('first/gone'), [])
})

t.test('find and list tell tags; a part of a tree lists states too', async (t) => {
  const fs = await keepingAccount(t)
  await fs.writeText('first/a', 'a')
  await fs.writeText('first/dir/b', 'b')
  await fs.setTags('first/a', { state: 'done', 'a+b': 'x y' })

  const found = await fs.find('first', { tags: true, withDirs: true })

  t.strictSame(
    found.map(({ name, tags }) => [name, tags]),
    [
      ['first', undefined],
      ['first/a', { state: 'done', 'a+b': 'x y' }],
      ['first/dir', undefined],
      ['first/dir/b', {}],
    ],
  )
  for await (const page of fs.list('first', { tags: true })) {
    t.match(page.files[0], { tags: { state: 'done' } })
  }
  await fs.writeText('first/dir/b', 'more')
  const states = await fs.sub('first/dir').ls('', { versions: true })
  t.strictSame(
    states.map(({ name, isCurrent }) => [name, isCurrent]),
    [
      ['b', false],
      ['b', true],
    ],
  )
})

t.test('info tells the file or the directory of one name, as is preferred', async (t) => {
  const { fs, store } = await memoryFileSystem()
  await store.put({ container: 'box', name: 'both' }, new Uint8Array(3))
  await store.put({ container: 'box', name: 'both/child' }, new Uint8Array(4))
  await store.put({ container: 'box', name: 'file' }, new Uint8Array(5))
  await store.put({ container: 'box', name: 'dir/child' }, new Uint8Array(6))
  const types = async (name: string) => [
    (await fs.info(`box/${name}`, { prefer: 'file' })).type,
    (await fs.info(`box/${name}`, { prefer: 'directory' })).type,
  ]
  const expectBoth = async () => {
    t.strictSame(await types('both'), ['file', 'directory'])
    t.strictSame(await types('file'), ['file', 'file'])
    t.strictSame(await types('dir'), ['directory', 'directory'])
  }

  await expectBoth()
  await fs.ls('box')
  await expectBoth()
  t.equal((await fs.info('box/both', { prefer: 'file' })).size, 3)
  await t.rejects(fs.info('box/none', { prefer: 'directory' }), { code: 'ENOENT' })
})

t.test(
  'rm of a directory that hides a file deletes the directory, and tells of the file',
  async (t) => {
    const nothing = new Uint8Array()
    const content = new Uint8Array(3)
    const marked = { metadata: { hdi_isfolder: 'true' } }
    const hiding = { name: 'd', data: content, options: marked }
    const child = { name: 'd/child', data: content, options: {} }
    for (const [what, blobs, isHiding] of [
      ['a marker that has content', [hiding, child], true],
      ['a file', [{ ...hiding, options: {} }, child], true],
      ['one beside d/ with content', [hiding, { ...child, name: 'd/' }], true],
      ['none: d/ has content', [{ ...child, name: 'd/' }, child], false],
      [
        'none: both mark it',
        [
          { ...hiding, data: nothing },
          { ...child, name: 'd/' },
        ],
        false,
      ],
    ] as const) {
      for (const isListed of [false, true]) {
        for (const name of ['box/d', 'box/d/', 'box/*']) {
          await t.test(`${what}, as ${name}${isListed ? ', listed before' : ''}`, async (t) => {
            const { fs, store } = await memoryFileSystem()
            for (const { name, data, options } of blobs)
              await store.put({ container: 'box', name }, data, options)
            if (isListed) await fs.ls('box')

            const { ok, failed, retry } = await fs.rm(name, { recursive: true, onError: 'return' })

            const left = (await fs.find('box')).map(({ name }) => name)
            if (!isHiding) {
              t.strictSame([failed, left], [[], []])
              return
            }
            t.strictSame([ok, left], [[], ['box/d']])
            t.match(failed, [{ path: 'box/d', error: { code: 'EEXIST', path: /box\/d$/ } }])
            await retry()
            t.ok(await fs.isFile('box/d'), 'which no repetition deletes')
            await fs.rm('box/d', { recursive: true })
            t.notOk(await fs.exists('box/d'), 'but another rm')
          })
        }
      }
    }
  },
)
