/** A drive with an encryption scope, on an account where some files have one already. */
import { readFileSync } from 'node:fs'
import {
  BlobServiceClient,
  type ContainerClient,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import t from 'tap'
import { startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoCli() || whyNoMounts()

for (const flags of [[], ['--hns']]) {
  const title = flags.length === 0 ? 'flat' : 'hierarchical'
  t.test(`a drive with an encryption scope, on a ${title} account`, { skip }, async (t) => {
    const { client, variables } = await startCliSandbox(t, '--engine', 'abfs', ...flags)
    const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
    const service = serviceOf(variables)
    const data = service.getContainerClient('data')
    const mounted = (scope: string, url = 'abfs://data') =>
      startDrive(t, ['--attr-ttl', '0', '--encryption-scope', scope], { env, url })

    await t.test('writes what is new in it, and leaves to each file its own', async (t) => {
      for (const name of ['edited', 'moved-from', 'copied-from']) {
        await data.getBlockBlobClient(name).upload('before\n', 7, { encryptionScope: 'one' })
      }
      const drive = await mounted('chosen')

      await shell(`cd '${drive.directory}' && echo small > small && mkdir tree && touch tree/empty &&
        head -c 12000000 /dev/urandom > large && sha256sum < large > sum &&
        echo more >> edited && mv moved-from moved && cp copied-from copied &&
        echo inner > tree/inner && mv tree grove && mv small grove/small && ln -s inner grove/link`)
      t.equal(await drive.end(), 0)
      const again = await mounted('chosen')
      const run = (commands: string) => shell(`cd '${again.directory}' && ${commands}`)

      t.equal(await run('cat edited moved copied'), 'before\nmore\nbefore\nbefore\n')
      t.equal(await run('cat grove/small grove/link'), 'small\ninner\n')
      t.match(await run('sha256sum < large | diff - sum && echo same'), 'same')
      t.equal(await again.end(), 0)
      t.strictSame(await scopesOf(data, ['edited', 'moved', 'copied-from']), ['one', 'one', 'one'])
      const own = ['large', 'sum', 'copied', 'grove/small', 'grove/inner', 'grove/empty']
      t.strictSame(new Set(await scopesOf(data, own)), new Set(['chosen']))
    })

    await t.test('is refused a scope that the container does not allow: EACCES', async (t) => {
      const only = { defaultEncryptionScope: 'one', preventEncryptionScopeOverride: true }
      await service.createContainer('strict', { containerEncryptionScope: only })
      const drive = await mounted('chosen', 'abfs://strict')

      const said = await shell(`cp /etc/passwd '${drive.directory}/new' 2>&1 || true`)

      t.match(said, /Permission denied/)
      await drive.end()
      for await (const { name } of service.getContainerClient('strict').listBlobsFlat())
        t.fail(name)
      t.match(drive.output.stderr, /RequestForbiddenByContainerEncryptionPolicy/)
    })
  })
}

function serviceOf(variables: Readonly<Record<string, string | undefined>>): BlobServiceClient {
  const ca = readFileSync(variables['ABFS_CA_FILE'] ?? '', 'utf8')
  const text = (name: string) => variables[name] ?? ''
  const key = text('AZURE_STORAGE_ACCOUNT_KEY')
  const credential = new StorageSharedKeyCredential(text('ABFS_ACCOUNT'), key)
  const options = { retryOptions: { maxTries: 1 }, tlsOptions: { ca } }
  return new BlobServiceClient(text('ABFS_BLOB_ENDPOINT'), credential, options)
}

function scopesOf(container: ContainerClient, names: readonly string[]) {
  const scopeOf = async (name: string) =>
    (await container.getBlobClient(name).getProperties()).encryptionScope
  return Promise.all(names.map(scopeOf))
}
