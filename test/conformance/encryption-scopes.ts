import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { KiB } from '../../src/byte-range.ts'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'

/** A file system with an empty container `box`. */
export interface ScopedAccount {
  readonly fs: AzureBlobFileSystem
  /** Where anybody may ask the service without abfs: `http://127.0.0.1:PORT/account`. */
  readonly endpoint: URL
}

/** Makes an account; with `encryptionScope` the library has that. */
export type MakeScopedAccount = (
  t: Test,
  options: { readonly encryptionScope?: string },
) => Promise<ScopedAccount>

type Call = (fs: AzureBlobFileSystem, local: string) => Promise<unknown>

const large = randomBytes(300 * KiB)

/** Ways to make the file `box/new`, and what is in it then. */
const makings: Readonly<Record<string, readonly [Call, string | Buffer]>> = {
  pipeFile: [(fs) => fs.pipeFile('box/new', 'small'), 'small'],
  'pipeFile of several blocks': [(fs) => fs.pipeFile('box/new', large), large],
  'an empty file': [(fs) => fs.touch('box/new'), ''],
  putIfAbsent: [(fs) => fs.putIfAbsent('box/new', 'small'), 'small'],
  update: [(fs) => fs.update('box/new', () => Buffer.from('small')), 'small'],
  putFile: [(fs, local) => fs.putFile(`${local}/file`, 'box/new'), 'local'],
  put: [(fs, local) => fs.put(`${local}/file`, 'box/new'), 'local'],
  'open in mode w': [(fs) => writing(fs, 'w', 'small'), 'small'],
  'open in mode x, of several blocks': [(fs) => writing(fs, 'x', large), large],
  'open in mode a': [(fs) => writing(fs, 'a', 'small'), 'small'],
  'a transaction': [
    (fs) =>
      fs.transaction(async (tx) => {
        await tx.writeText('box/new', 'small')
        await tx.writeText('box/other', 'small')
      }),
    'small',
  ],
}

async function writing(fs: AzureBlobFileSystem, mode: 'w' | 'x' | 'a', data: string | Buffer) {
  await using file = await fs.open('box/new', mode)
  await file.write(data)
  await file.close()
}

/** What is done with `box/scoped`, which was written in the scope `one`, and where it is then. */
const changes: Readonly<Record<string, readonly [Call, string]>> = {
  'an edit in place': [(fs) => editing(fs), 'box/scoped'],
  'an append': [
    async (fs) => {
      await using file = await fs.open('box/scoped', 'a')
      await file.write('more')
      await file.close()
    },
    'box/scoped',
  ],
  'an update': [(fs) => fs.update('box/scoped', (old) => Buffer.from(old ?? [])), 'box/scoped'],
  metadata: [(fs) => fs.setMetadata('box/scoped', { colour: 'blue' }), 'box/scoped'],
  'a new date': [(fs) => fs.touch('box/scoped', { truncate: false }), 'box/scoped'],
  'a copy': [(fs) => fs.cpFile('box/scoped', 'box/copy'), 'box/copy'],
  'a copy of a tree': [
    async (fs) => {
      await fs.mv('box/scoped', 'box/tree/file')
      await fs.copy('box/tree', 'box/grove', { recursive: true })
    },
    'box/grove/file',
  ],
  'a rename': [(fs) => fs.mv('box/scoped', 'box/moved'), 'box/moved'],
  'a rename of a tree': [
    async (fs) => {
      await fs.mv('box/scoped', 'box/tree/file')
      await fs.mv('box/tree', 'box/grove')
    },
    'box/grove/file',
  ],
}

async function editing(fs: AzureBlobFileSystem): Promise<void> {
  await using file = await fs.open('box/scoped', 'r+')
  await file.writeAt(3, 'edited')
  await file.close()
}

/** What the file system does with encryption scopes, on a service that has them. */
export function encryptionScopeConformance(t: Test, make: MakeScopedAccount): void {
  for (const [title, [call, content]] of Object.entries(makings)) {
    t.test(`${title} makes a file in the scope that is chosen, and reads it back`, async (t) => {
      const account = await make(t, { encryptionScope: 'chosen' })

      await call(account.fs, t.testdir({ file: 'local' }))

      t.equal(await scopeOf(account, 'new'), 'chosen')
      t.same(Buffer.from(await account.fs.catFile('box/new')), Buffer.from(content))
    })

    t.test(`${title} says nothing of scopes where none is chosen`, async (t) => {
      const account = await make(t, {})

      await call(account.fs, t.testdir({ file: 'local' }))

      t.equal(await scopeOf(account, 'new'), undefined)
    })
  }

  for (const [title, [call, name]] of Object.entries(changes)) {
    t.test(`${title} keeps the scope of a file, whatever is chosen for new ones`, async (t) => {
      const account = await make(t, { encryptionScope: 'chosen' })
      await plant(account, 'scoped', { 'x-ms-encryption-scope': 'one' })

      await call(account.fs, '')

      t.equal(await scopeOf(account, name.slice('box/'.length)), 'one')
      t.match(await account.fs.readText(name), /^con/)
    })
  }

  t.test('a tree comes back as it went', async (t) => {
    const { fs } = await make(t, { encryptionScope: 'chosen' })
    const local = t.testdir({ tree: { file: 'f', inner: { deep: 'd' } } })

    await fs.put(`${local}/tree`, 'box/tree', { recursive: true })
    await fs.get('box/tree/', `${local}/back`, { recursive: true })

    t.equal(await readFile(join(local, 'back/inner/deep'), 'utf8'), 'd')
  })

  t.test('a scope that the container does not allow is EACCES, and makes nothing', async (t) => {
    const account = await make(t, { encryptionScope: 'chosen' })
    await send(account, 'other?restype=container', {
      'x-ms-default-encryption-scope': 'one',
      'x-ms-deny-encryption-scope-override': 'true',
    })

    const writes = ['small', large].map((data) => account.fs.pipeFile('other/new', data))

    const refused = { code: 'EACCES', serviceCode: 'RequestForbiddenByContainerEncryptionPolicy' }
    for (const write of writes) await t.rejects(write, refused)
    t.strictSame(await account.fs.find('other'), [])
  })
}

async function scopeOf(account: ScopedAccount, name: string): Promise<string | undefined> {
  const { headers } = await send(account, `box/${name}`, {}, { method: 'HEAD' })
  return headers.get('x-ms-encryption-scope') ?? undefined
}

async function plant(account: ScopedAccount, name: string, headers: Record<string, string>) {
  const type = { 'x-ms-blob-type': 'BlockBlob' }
  await send(account, `box/${name}`, { ...type, ...headers }, { body: 'content of a file' })
}

/** A request as no library of ours sends it. */
async function send(
  { endpoint }: ScopedAccount,
  path: string,
  headers: Readonly<Record<string, string>>,
  init: RequestInit = {},
): Promise<Response> {
  const version = { 'x-ms-version': '2025-05-05' }
  const answer = await fetch(`${endpoint.href}/${path}`, {
    method: 'PUT',
    ...init,
    headers: { ...version, ...headers },
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return answer
}
