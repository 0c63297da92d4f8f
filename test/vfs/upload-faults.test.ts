import { constants, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { KiB } from '../../src/byte-range.ts'
import { type CuttingProxy, startCuttingProxy } from '../support/cutting-proxy.ts'
import { faultyAccount } from '../support/faulty-account.ts'
import { patternOf } from '../support/pattern.ts'
import { caller, VfsMount } from '../support/vfs-mount.ts'

// Connections that break while the drive sends: within a head, a block, a blob, a list of blocks.

const old = patternOf(200 * KiB)
const fresh = Buffer.from(old).reverse()
const small = Buffer.from(fresh.subarray(0, 50 * KiB))

const uploads: readonly {
  readonly name: string
  readonly request: RegExp
  readonly afterBytes: readonly number[]
  readonly content: Buffer
}[] = [
  { name: 'a small file', request: /^PUT \S+\/f HTTP/, afterBytes: [100, 30_000], content: small },
  {
    name: 'a block',
    request: /^PUT \S+comp=block&/,
    afterBytes: [60, 2000, 40_000],
    content: fresh,
  },
  {
    name: 'the list of blocks',
    request: /^PUT \S+comp=blocklist/,
    afterBytes: [60, 500],
    content: fresh,
  },
]

interface Subject {
  readonly mount: VfsMount
  readonly proxy: CuttingProxy
  readonly journal: string
}

async function prepare(t: Test): Promise<Subject> {
  let proxy: CuttingProxy | undefined
  const { store, box } = await faultyAccount(t, {
    via: async (endpoint) => {
      proxy = await startCuttingProxy(t, endpoint)
      return proxy.url
    },
  })
  if (proxy === undefined) throw new TypeError('no proxy')
  await box.getBlockBlobClient('f').upload(old, old.length)
  const journal = t.testdir()
  const options = { account: store, blockBytes: 64 * KiB, journalDirectory: journal }
  return { proxy, journal, mount: await VfsMount.make(t, options) }
}

async function rewrite(mount: VfsMount, content: Buffer): Promise<void> {
  const handle = await mount.open('f', constants.O_WRONLY | constants.O_TRUNC)
  try {
    await mount.write(handle, 0, content)
    await mount.vfs.flush(handle, caller)
  } finally {
    await mount.vfs.release(handle, caller)
  }
}

async function stored({ mount }: Subject): Promise<Buffer> {
  return Buffer.from((await mount.account.get({ container: 'box', name: 'f' })).data)
}

for (const { name, request, afterBytes, content } of uploads) {
  for (const bytes of afterBytes) {
    t.test(`a connection that breaks once ${bytes} bytes into ${name} costs nothing`, async (t) => {
      const subject = await prepare(t)
      subject.proxy.cut = { request, afterBytes: bytes, times: 1 }

      await rewrite(subject.mount, content)

      t.equal(subject.proxy.count, 1, 'it broke')
      t.ok((await stored(subject)).equals(content))
    })

    t.test(`one that always breaks there is EIO, and the bytes are kept`, async (t) => {
      const subject = await prepare(t)
      subject.proxy.cut = { request, afterBytes: bytes }

      await t.rejects(rewrite(subject.mount, content), { code: 'EIO' })

      t.ok(subject.proxy.count > 1, `it broke ${subject.proxy.count} times`)
      subject.proxy.cut = undefined
      t.ok((await stored(subject)).equals(old), 'the version before is whole')
      const kept = join(subject.journal, 'kept')
      const [data = ''] = readdirSync(kept).filter((file) => file.endsWith('.data'))
      t.ok(readFileSync(join(kept, data)).equals(content))
    })
  }
}
