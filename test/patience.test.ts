/** `retry`, `timeouts` and `cloud` of `createFileSystem`, against a server that fails as it is told. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { MiB } from '../src/byte-range.ts'
import { systemClock } from '../src/clock.ts'
import type { Remote } from '../src/filesystem/remote.ts'
import { createFileSystem } from '../src/index.ts'
import { ServerControl } from '../src/storage-server/control/server-control.ts'
import { createStorageServer } from '../src/storage-server/server.ts'
import { openAccess } from './support/dfs-server.ts'
import { FakeClock } from './support/fake-clock.ts'
import { accountName, addContainer, testAccount } from './support/storage-request.ts'

type Given = Parameters<typeof createFileSystem>[0]

async function account(t: Test, options: Given) {
  const clock = new FakeClock(Date.now())
  const control = new ServerControl({ clock: systemClock })
  const made = testAccount(clock)
  addContainer(made, 'box')
  const accounts = new Map([[accountName, made]])
  const server = createStorageServer({ accounts, access: openAccess, hooks: control, clock })
  const blobEndpoint = `${await server.listen()}/${accountName}`
  const own = { account: accountName, blobEndpoint, hns: false, anonymous: true, environment: {} }
  const fs = await createFileSystem({ ...own, ...options })
  await fs.writeText('box/f', 'text')
  t.teardown(async () => {
    control.close()
    await fs.close()
    await server.close()
  })
  const reads = () => control.ledger.entries().filter(({ verb }) => verb === 'GetBlob').length
  return { fs, control, reads }
}

const busy = { kind: 'status', status: 503, code: 'ServerBusy' } as const

for (const [maxAttempts, succeeds] of [
  [1, false],
  [2, false],
  [3, true],
] as const) {
  t.test(`of a service that fails twice, ${maxAttempts} attempts are made`, async (t) => {
    const { fs, control, reads } = await account(t, { retry: { maxAttempts, baseDelayMs: 1 } })
    control.replaceFaults([{ verb: 'GetBlob', count: 2, effect: busy }])

    const text = await fs.readText('box/f').catch((error: unknown) => error)

    if (succeeds) t.equal(text, 'text')
    else t.match(text, { code: 'EIO', serviceCode: 'ServerBusy' })
    t.equal(reads(), maxAttempts)
  })
}

t.test('an attempt whose answer does not begin ends by headersMs', async (t) => {
  const { fs, control } = await account(t, {
    retry: { maxAttempts: 1 },
    timeouts: { headersMs: 50 },
  })
  control.replaceFaults([{ verb: 'GetBlob', effect: { kind: 'stall' } }])

  await t.rejects(fs.readText('box/f'), { code: 'ETIMEDOUT' })
})

t.test('an attempt whose answer stays away in its middle ends by bodyMs', async (t) => {
  const { fs, control } = await account(t, { retry: { maxAttempts: 1 }, timeouts: { bodyMs: 50 } })
  control.replaceFaults([{ verb: 'GetBlob', effect: { kind: 'stallInBody', afterBytes: 1 } }])

  await t.rejects(fs.readText('box/f'), { code: 'ETIMEDOUT' })
})

// By default they are 10 and 30 seconds.
for (const [option, protocol, told] of [
  ['connectMs', 'https', /connect/],
  ['sendMs', 'http', /did not answer|stopped|broke|took/],
] as const) {
  t.test(
    `an attempt at a service that never takes what it is sent ends by ${option}`,
    { timeout: 8000 },
    async (t) => {
      const sockets: Socket[] = []
      const silent = createServer({ pauseOnConnect: true }, (socket) => void sockets.push(socket))
      silent.listen(0, '127.0.0.1')
      await once(silent, 'listening')
      const { port } = silent.address() as AddressInfo
      t.teardown(() => {
        for (const socket of sockets) socket.destroy()
        silent.close()
      })
      const blobEndpoint = `${protocol}://127.0.0.1:${port}/${accountName}`
      const own = {
        account: accountName,
        blobEndpoint,
        hns: false,
        anonymous: true,
        environment: {},
      }
      const patience = { retry: { maxAttempts: 1 }, timeouts: { [option]: 50 } }
      await using fs = await createFileSystem({ ...own, ...patience })
      const { store }: Remote = Reflect.get(fs, 'remote')

      const data = new Uint8Array(64 * MiB)
      const put = store.put({ container: 'box', name: 'f' }, data)

      await t.rejects(put, { code: 'ETIMEDOUT', message: told })
      t.equal(sockets.length, 1)
    },
  )
}

t.test('a cloud says where an account is', async (t) => {
  const environment = {}
  for (const [cloud, suffix] of [
    ['public', 'core.windows.net'],
    ['usgovernment', 'core.usgovcloudapi.net'],
    ['china', 'core.chinacloudapi.cn'],
  ] as const) {
    await using fs = await createFileSystem({
      account: 'acct',
      cloud,
      anonymous: true,
      environment,
    })
    t.match(fs.toJSON(), {
      blobEndpoint: `https://acct.blob.${suffix}/`,
      dfsEndpoint: `https://acct.dfs.${suffix}/`,
    })
  }
})

t.test('what cannot be meant is refused by its name', async (t) => {
  const refusals: readonly (readonly [object, string, RegExp])[] = [
    [{ retry: 5 }, 'retry', /expected \{ maxAttempts.*got 5/],
    [{ retry: { attempts: 3 } }, 'retry.attempts', /there are maxAttempts, baseDelayMs/],
    [{ retry: { maxAttempts: 0 } }, 'retry.maxAttempts', /an integer of 1 or more, got 0/],
    [{ retry: { baseDelayMs: Number.NaN } }, 'retry.baseDelayMs', /milliseconds.*got NaN/],
    [{ timeouts: { connectMs: 0 } }, 'timeouts.connectMs', /milliseconds, from 1.*got 0/],
    [{ timeouts: { bodyMs: Infinity } }, 'timeouts.bodyMs', /got Infinity/],
    [{ cloud: 'mars' }, 'cloud', /'public', 'usgovernment' or 'china', got "mars"/],
    [{ cloud: 'china', blobEndpoint: 'https://x' }, 'cloud', /without blobEndpoint/],
    [{ cloud: 'china', account: undefined }, 'cloud', /beside account/],
    [{ cloud: 'china', url: 'https://a.blob.core.windows.net/box' }, 'cloud', /without a url/],
  ]
  for (const [options, path, message] of refusals) {
    const given: Given = { account: 'acct', environment: {}, anonymous: true, ...options }
    await t.rejects(createFileSystem(given), { code: 'EINVAL', path, message }, path)
  }
})
