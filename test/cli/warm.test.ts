import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  whyNoCli,
} from '../support/cli.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

for (const kind of ['flat', 'hierarchical']) {
  t.test(`abfs warm and evict, ${kind}`, { skip: whyNoCli() || whyNoMounts() }, async (t) => {
    const hierarchical = kind === 'flat' ? [] : ['--hns']
    const { client } = await startCliSandbox(t, '--engine', 'abfs', ...hierarchical)
    const cache = await temporaryDirectory(t)
    const env = { ...client, ABFS_CACHE_DIR: cache, XDG_STATE_HOME: await temporaryDirectory(t) }
    const abfs = (argv: readonly string[], input = '') => runAbfs(argv, { env, input })
    const json = async (t: Test, ...argv: string[]) => {
      const { code, stdout, stderr } = await abfs([...argv, '--json'])
      t.equal(code, 0, stderr)
      return JSON.parse(stdout)
    }
    const big = Buffer.alloc(9_000_001, 'warm and evict')
    await writeFile(join(cache, 'big'), big)
    await abfs(['cp', join(cache, 'big'), 'abfs://data/train/big'])
    await abfs(['cp', '-', 'abfs://data/train/deep/small'], 'small')
    await abfs(['cp', '-', 'abfs://data/other'], 'other file')

    t.test('what was warmed is read on a drive without a request for its bytes', async (t) => {
      const first = await json(t, 'warm', 'abfs://data/train')
      t.match(first, { files: 2, bytes: 9_000_006, foundBytes: 0, lostBytes: 0, failures: 0 })
      const second = await json(t, 'warm', 'abfs://data', 'train', 'train/big')
      t.match(second, { files: 2, bytes: 9_000_006, foundBytes: 9_000_006 })

      const directory = await temporaryMountpoint(t)
      t.equal((await abfs(['mount', 'abfs://data', directory])).code, 0)
      const read = await readFile(join(directory, 'train/big'))
      const { traffic } = await json(t, 'stats', directory)
      t.match(await json(t, 'warm', join(directory, 'train')), { files: 2, foundBytes: 9_000_006 })
      t.equal((await abfs(['unmount', directory])).code, 0)

      t.ok(read.equals(big))
      t.equal(traffic.requestsByOperation['blob.get'], undefined)
    })

    t.test('by the directory of a drive its own cache is meant, unless one is named', async (t) => {
      const own = join(await temporaryDirectory(t), 'own')
      const unnamed = { ...client, XDG_STATE_HOME: env.XDG_STATE_HOME }
      const directory = await temporaryMountpoint(t)
      const flags = ['--cache-dir', own, '--cache-size', '100M']
      await runAbfs(['mount', 'abfs://data', directory, ...flags], { env: unnamed })
      const run = async (...argv: string[]) => {
        const { stdout, stderr } = await runAbfs([...argv, '--json'], { env: unnamed })
        return stdout === '' ? stderr : JSON.parse(stdout)
      }

      t.match(await run('warm', directory), { files: 3, foundBytes: 0 })
      t.match(await run('warm', 'abfs://data', '--cache-dir', own), { foundBytes: 9_000_016 })
      t.match(await run('pin', directory, 'train/deep'), { files: 1, foundBytes: 5 })
      const path = 'abfs://data/train/deep/small'
      t.match(await run('pin', '--list', directory), [{ path }])
      t.match(await run('pin', '--list', join(directory, 'train')), [{ path }])
      t.strictSame(await run('pin', '--list', join(directory, 'other')), [])
      t.match(await run('unpin', directory), { files: 1 })
      t.match(await run('evict', directory), { files: 3 })
      t.match(await run('warm', directory, '--cache-size', '1M'), /nine tenths of --cache-size 1/)
      t.match(await run('unmount', directory), { directory, unsaved: [] })
    })

    t.test('evict removes a file, and all', async (t) => {
      const one = await json(t, 'evict', 'abfs://data/train', 'big')
      t.equal(one.files, 1)
      t.ok(one.bytes >= big.byteLength, `${one.bytes}`)
      t.match(await json(t, 'warm', 'abfs://data/train'), { files: 2, foundBytes: 5 })
      t.match((await abfs(['evict', '--all'])).stdout, /^removed 2 files, .* of the disk\n$/)
      t.match(await json(t, 'evict', '--all'), { files: 0, bytes: 0 })
      t.match(await json(t, 'warm', 'abfs://data/train/deep'), { files: 1, foundBytes: 0 })
    })

    t.test('a manifest names paths; one that is missing is told and ends with 1', async (t) => {
      const { code, stdout, stderr } = await abfs(
        ['warm', 'abfs://data', '--manifest', '-', '--json'],
        'other\nmissing\n',
      )
      t.equal(code, 1)
      t.match(JSON.parse(stdout), { files: 1, bytes: 10, failures: 1 })
      t.match(stderr, /^abfs: not warmed: missing: ENOENT/)
    })

    t.test('where the place itself fails it is named', async (t) => {
      const { code, stderr } = await abfs(['warm', 'abfs://data/no such'])
      t.equal(code, 1)
      t.match(stderr, /^abfs: not warmed: abfs:\/\/data\/no such: ENOENT/)
    })

    t.test(
      'patterns are of files and directories; a name that is there is no pattern',
      async (t) => {
        await abfs(['cp', '-', 'abfs://data/train/[s]mall'], 'by its name')

        t.match(await json(t, 'warm', 'abfs://data', 'train/**/sm*'), { files: 1, bytes: 5 })
        t.match(await json(t, 'warm', 'abfs://data', '*/d?ep', 'o[t]*'), { files: 2, bytes: 15 })
        t.match(await json(t, 'warm', 'abfs://data/train', '[s]mall'), { files: 1, bytes: 11 })
        t.match(await json(t, 'evict', 'abfs://data', 'train/d*'), { files: 1 })
        await abfs(['rm', 'abfs://data/train/[s]mall'])
        const { code, stderr } = await abfs(['warm', 'abfs://data', 'train/*.bin'])
        t.equal(code, 1)
        t.match(stderr, /^abfs: not warmed: train\/\*\.bin: ENOENT.*no file matches/)
      },
    )

    t.test('says why the disk kept nothing', async (t) => {
      const place = await temporaryDirectory(t)
      await writeFile(join(place, 'blocks-1'), 'a file in the way')

      const { code, stderr } = await abfs(['warm', 'abfs://data', '--cache-dir', place])

      t.equal(code, 1)
      t.match(stderr, /^abfs: not kept in the cache: \/.*(ENOTDIR|EEXIST)/)
    })

    t.test('refuses what cannot work', async (t) => {
      const refused: [string[], RegExp][] = [
        [['warm', 'abfs://data', '--cache-size', '1M'], /nine tenths of --cache-size/],
        [['warm', cache], /lies in no drive/],
        [['evict'], /name a place, or --all/],
        [['warm', 'abfs://data', '--cache-size', '5'], /a size of 1M or more/],
        [['evict', '--all', 'abfs://data'], /name a place, or --all/],
        [['pin'], /name a place, or --list/],
        [['pin', '--list', 'abfs://data', 'train'], /--list takes one place/],
      ]
      for (const [argv, line] of refused) failsWith(t, await abfs(argv), { code: 2, line })
      const none = ['pin', '--list', '--cache-dir', join(cache, 'none')]
      failsWith(t, await abfs(none), { code: 3, line: /there is no such cache/ })
      const unnamed = await runAbfs(['warm', 'abfs://data'], { env: client })
      failsWith(t, unnamed, { code: 2, line: /--cache-dir \(or ABFS_CACHE_DIR\) must be named/ })
    })
  })
}
