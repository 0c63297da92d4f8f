import t from 'tap'
import { createFileSystem } from '../../src/create-file-system.ts'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { fromStorageOptions } from '../../src/storage-options.ts'
import { AzureClient } from '../support/azure-client.ts'
import { FakeClock } from '../support/fake-clock.ts'

type Call = readonly [what: string, url: string, method: 'GET' | 'HEAD' | 'PUT' | 'DELETE']
const headers = { 'x-ms-blob-type': 'BlockBlob', 'x-ms-version': '2023-11-03' }

/** What who holds the URL must not be able to do. */
function forbidden(url: string): readonly Call[] {
  const at = (path: string, more = '') => url.replace('/box/up/f?', `/${path}?${more}`)
  return [
    ['read', url, 'GET'],
    ['tell properties', url, 'HEAD'],
    ['delete', url, 'DELETE'],
    ['list the container', at('box', 'restype=container&comp=list&'), 'GET'],
    ['tell the container', at('box', 'restype=container&'), 'GET'],
    ['make a container', at('new', 'restype=container&'), 'PUT'],
    ['delete the container', at('box', 'restype=container&'), 'DELETE'],
    ['list containers', at('', 'comp=list&'), 'GET'],
    ['write another file', at('box/up/g'), 'PUT'],
    ['write below the file', at('box/up/f/g'), 'PUT'],
    ['write in another container', at('other/up/f'), 'PUT'],
    ['write with more rights', url.replace('sp=cw', 'sp=rcwd'), 'PUT'],
    ['write for longer', url.replace(/se=20\d\d/, 'se=2099'), 'PUT'],
  ]
}

for (const engine of ['azurite', 'abfs'] as const) {
  t.test(`the engine ${engine}`, async (t) => {
    // Azurite goes by the system's clock.
    const clock = new FakeClock(Date.now())
    const urls: string[] = []
    const sandbox = await startSandbox({ engine, clock, containers: ['box', 'other'] })
    t.teardown(() => sandbox.close())
    const azure = new AzureClient(sandbox)
    t.teardown(() => azure.close())
    const environment = sandbox.environment()
    const { account, accountKey } = sandbox
    const ways: Record<string, () => Promise<AzureBlobFileSystem>> = {
      'the key of the account': () =>
        fromStorageOptions({ account_name: account, account_key: accountKey }, { environment }),
      'a user delegation key': () => createFileSystem({ environment }),
    }
    for (const [way, open] of Object.entries(ways)) {
      await t.test(`lets who has a URL by ${way} write one file, and nothing else`, async (t) => {
        await using fs = await open()
        await fs.rm('box/up', { recursive: true }).catch(() => undefined)
        const url = await fs.signUpload('box/up/f')
        const query = new URL(url).searchParams
        t.match(Object.fromEntries(query), { sp: 'cw', sr: 'b' })
        t.equal(query.has('skoid'), way === 'a user delegation key')

        for (const body of ['made', 'made again']) {
          t.equal((await azure.send('PUT', url, { headers, body })).status, 201, body)
          t.equal(await fs.readText('box/up/f'), body)
        }
        for (const [what, place, method] of forbidden(url)) {
          const { status } = await azure.send(method, place, {
            headers,
            ...(method === 'PUT' ? { body: 'x' } : {}),
          })
          t.equal(status, 403, what)
        }
        t.strictSame(await fs.find('box'), [...(await fs.find('box/up'))])
        t.equal(await fs.readText('box/up/f'), 'made again')
        t.same(await fs.find('other'), [])
        urls.push(url)
      })
    }
    if (engine === 'azurite') return
    await t.test('and nothing at all when its time is over', async (t) => {
      await clock.advance(2 * 3_600_000)
      t.equal(urls.length, 2)
      for (const url of urls) {
        t.equal((await azure.send('PUT', url, { headers, body: 'late' })).status, 403)
      }
    })
  })
}
