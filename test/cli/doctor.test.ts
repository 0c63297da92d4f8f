import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { MemoryBlobStore } from '../../src/blob/memory-store.ts'
import { systemClock } from '../../src/clock.ts'
import { ChunkCache } from '../../src/transfer/chunk-cache.ts'
import { FileContent } from '../../src/transfer/file-content.ts'
import { Journal } from '../../src/vfs/journal.ts'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  whyNoCli,
} from '../support/cli.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

t.test('abfs doctor', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const doctor = async (env: Readonly<Record<string, string>>, ...argv: string[]) => {
    const { code, stdout, stderr } = await runAbfs(['doctor', '--json', ...argv], { env })
    const findings: { name: string; verdict: string; detail: string }[] = JSON.parse(stdout)
    return { code, stderr, of: (name: string) => findings.find((each) => each.name === name) }
  }

  t.test('finds nothing wrong where drives work, and reaches the container', async (t) => {
    const { code, of, stderr } = await doctor(client, 'abfs://data')

    t.equal(code, 0, stderr)
    for (const name of ['addon', '/dev/fuse', 'settings']) t.equal(of(name)?.verdict, 'ok', name)
    t.match(of('abfs://data'), { verdict: 'ok', detail: 'signed in; 0 names in it' })
    t.match(of('names'), { verdict: 'ok', detail: 'drives show all 0 names below it' })
    t.match(of('clock'), { verdict: 'ok', detail: /this machine and the service agree within/ })
    t.match(of('kernel'), { detail: /requests of 1 MiB.*io_uring/ })
    t.match(of('cache'), { detail: /unsaved files go to .* free/ })
  })

  t.test('tells a cache that cannot be where it is said to be', async (t) => {
    const directory = await temporaryDirectory(t)
    const file = join(directory, 'file')
    await writeFile(file, '')
    const cacheAt = async (place: string) =>
      (await doctor(client, '--cache-dir', place)).of('cache')

    t.match(await cacheAt(join(directory, 'new', 'cache')), { verdict: 'ok' })
    const detail = new RegExp(`${file} is no directory, or may not be written: nothing is kept`)
    t.match(await cacheAt(file), { verdict: 'warned', detail })
    t.match(await cacheAt(join(file, 'cache')), { verdict: 'warned', detail })
  })

  t.test('tells files that a directory hides', async (t) => {
    for (const name of ['a', 'a-b', 'a/c', 'd', 'd.e', 'f/g', 'd0/x']) {
      await runAbfs(['cp', '-', `abfs://data/${name}`], { env: client, input: name })
    }

    const { code, of } = await doctor(client, 'abfs://data')

    t.equal(code, 0)
    const hidden = /^of all 7 names below it, files that a directory .* reach them\): 'a'$/
    t.match(of('names'), { verdict: 'warned', detail: hidden })
    const { stdout } = await runAbfs(['cat', 'abfs://data/a'], { env: client })
    t.equal(stdout, 'a')
    await runAbfs(['rm', '-r', 'abfs://data/a', 'abfs://data/d0', 'abfs://data/f'], { env: client })
  })

  t.test('tells what is left in journals, and what was promised', async (t) => {
    const cacheDir = await temporaryDirectory(t)
    const directory = join(cacheDir, 'journal', 'account-data-0123')
    const path = { container: 'data', name: 'f' }
    const version = { path, description: {} }
    const store = new MemoryBlobStore({ account: 'account' })
    for (const [owner, reason] of [
      ['kept', 'conflict'],
      ['1-0', 'pending'],
    ] as const) {
      const spool = { directory: cacheDir }
      const content = new FileContent({
        store,
        chunkCache: new ChunkCache(),
        spool,
        base: undefined,
      })
      await content.write(0, Buffer.from('12345'))
      const journal = new Journal({ directory: join(directory, owner), clock: systemClock })
      await journal.keep({ ...version, reason }, content)
      const etag = '"0x1"'
      if (reason === 'pending') await journal.keepRemoval({ path, etag })
      await content.close()
    }

    const { code, of } = await doctor(client, '--cache-dir', cacheDir)

    t.equal(code, 0)
    const { detail = '', verdict } = of('journal') ?? {}
    t.equal(verdict, 'warned')
    t.match(
      detail,
      `1 file of abfs://data (5 B) could not be stored: each .json in ${directory}/kept`,
    )
    t.match(
      detail,
      '1 file, 1 removal of abfs://data (5 B) promised by a drive that died: mount abfs://data',
    )
  })

  t.test('tells the limits of fuse-native when it is asked for', async (t) => {
    const { code, of } = await doctor(client, '--driver', 'fuse-native')

    t.equal(code, 0)
    t.ok(of('fuse-native'))
    const wrong = await runAbfs(['doctor', '--driver', 'other'], { env: client })
    failsWith(t, wrong, { code: 2, line: /--driver must be fuse-native/ })
  })

  t.test('tells a container that is missing and a connector that is down', async (t) => {
    const missing = await doctor(client, 'abfs://missing')
    const url = { ABFS_CONNECTOR_URL: 'http://127.0.0.1:9/' }
    const down = await doctor({ ...client, ...url }, 'abfs://data')

    t.equal(missing.code, 1)
    t.match(missing.of('abfs://missing'), { verdict: 'failed', detail: /container does not exist/ })
    t.equal(down.code, 1)
    t.match(down.of('abfs://data'), { verdict: 'failed', detail: /does not answer/ })
  })

  t.test('tells a setting that cannot be used, and one that is missing', async (t) => {
    const wrong = await doctor({ ...client, ABFS_HNS: 'perhaps' })
    const none = await doctor({})

    t.equal(wrong.code, 1)
    t.match(wrong.of('settings'), { verdict: 'failed', detail: /ABFS_HNS must be one of/ })
    t.equal(none.code, 0)
    t.match(none.of('settings'), { verdict: 'warned', detail: /ABFS_ACCOUNT/ })
  })
})
