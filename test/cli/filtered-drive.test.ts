/** Drives that show a part of what is there, as programs see them. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  whyNoCli,
} from '../support/cli.ts'
import { startSandboxConnector } from '../support/sandbox-connector.ts'
import { shell, temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const helper = fileURLToPath(new URL('../../dist/cli/mount-helper.js', import.meta.url))

/** A tree with a name for each reason to show or hide one; links to both. */
const tree = `mkdir -p train/deep tmp && for f in a.csv A.CSV a.txt train/b.csv train/deep/c.csv tmp/d.csv only.txt
  do printf '%s' $f > $f; done && head -c 200 /dev/zero > train/large.csv && ln -s a.txt broken.csv && ln -s a.csv link.csv`

const flags = ['--include', '*.csv', '--include', '*.CSV', '--exclude=tmp/', '--filter=size < 100']
const shown = ['A.CSV', 'a.csv', 'broken.csv', 'link.csv', 'train']
const below = ['train/b.csv', 'train/deep', 'train/deep/c.csv']
const hidden = ['a.txt', 'only.txt', 'tmp', 'tmp/d.csv', 'train/large.csv']

for (const kind of ['flat', 'hierarchical']) {
  const skip = whyNoCli() || whyNoMounts()
  t.test(`a drive that shows a part, ${kind}`, { skip }, async (t) => {
    const hierarchical = kind === 'flat' ? [] : ['--hns']
    const { client } = await startCliSandbox(t, '--engine', 'abfs', ...hierarchical)
    const cache = await temporaryDirectory(t)
    const state = await temporaryDirectory(t)
    const env = { ...client, XDG_STATE_HOME: state, ABFS_CACHE_DIR: cache }
    const abfs = (...argv: string[]) => runAbfs(argv, { env })
    const mounted = async (...argv: string[]): Promise<string> => {
      const directory = await temporaryMountpoint(t)
      const { code, stderr } = await abfs('mount', 'abfs://data', directory, ...argv)
      t.equal(code, 0, stderr)
      return directory
    }
    const unmount = async (directory: string) => t.equal((await abfs('unmount', directory)).code, 0)
    const whole = await mounted()
    t.equal(await shell(`cd '${whole}' && ${tree}`), '')
    await unmount(whole)

    t.test('find, ls and names asked for one by one agree', async (t) => {
      const drive = await mounted('--read-only', '--stats-dir', ...flags)
      const isMissing = async () => {
        for (const name of hidden) {
          t.match(await shell(`cat '${drive}/${name}'`), /No such file or directory/, name)
          t.match(await shell(`stat '${drive}/${name}'`), /No such file or directory/, name)
        }
      }

      // Before anything is listed, and after.
      await isMissing()
      const found = await shell(`cd '${drive}' && find * | LC_ALL=C sort`)
      t.strictSame(found.trim().split('\n'), [...shown, ...below])
      t.equal(await shell(`LC_ALL=C ls '${drive}'`), `${shown.join('\n')}\n`)
      await isMissing()
      for (const name of ['a.csv', 'A.CSV', 'train/b.csv', 'train/deep/c.csv']) {
        t.equal(await shell(`cat '${drive}/${name}'`), name)
      }
      t.equal(await shell(`cat '${drive}/link.csv'`), 'a.csv')
      t.match(await shell(`cat '${drive}/broken.csv'`), /No such file/, 'what it names is hidden')
      t.equal(await shell(`readlink '${drive}/broken.csv'`), 'a.txt\n')
      t.match(await shell(`cat '${drive}/.abfs/health'`), /"serving":true/, 'reports are there')
      t.match(await shell(`echo x > '${drive}/a.txt'`), /Read-only file system/)
      t.match(await shell(`mkdir '${drive}/tmp'`), /Read-only file system/)
      await unmount(drive)
    })

    t.test('warm and pin fetch what is shown alone', async (t) => {
      const drive = await mounted('--read-only', ...flags)
      const warm = async (...argv: string[]) => {
        const { stdout, stderr } = await abfs('warm', ...argv, '--json')
        return { stderr, ...JSON.parse(stdout) }
      }

      // Listings of a hierarchy tell links as files.
      const links = kind === 'flat' ? 0 : 2
      t.match(await warm(drive), { files: 4 + links, failures: 0 })
      t.match(await warm(join(drive, 'train')), { files: 2, failures: 0 })
      t.match(await warm(drive, 'a.csv', 'a.txt', 'tmp', 'tmp/d.csv'), {
        ...{ files: 1, failures: 3 },
        stderr: /not warmed: tmp\/d\.csv: ENOENT: .*the drive does not show it/,
      })
      t.match(JSON.parse((await abfs('pin', drive, '--json')).stdout), { files: 4 + links })
      t.match(await warm('abfs://data'), { files: 8 + links, failures: 0 })

      const unpin = async (place: string) =>
        JSON.parse((await abfs('unpin', place, '--json')).stdout)
      t.match(JSON.parse((await abfs('pin', 'abfs://data', '--json')).stdout), { files: 8 + links })
      t.match(await unpin(join(drive, 'tmp')), { files: 0 }, 'it is hidden')
      t.match(await unpin(join(drive, 'train')), { files: 2 }, 'not the large one')
      t.match(await unpin(drive), { files: 2 + links })
      t.match(await unpin('abfs://data'), { files: 4 })
      await unmount(drive)
      const timed = await mounted('--read-only', '--filter', 'modtime>2020-01-01')
      const { code, stderr } = await abfs('unpin', timed)
      t.equal(code, 2)
      t.match(stderr, /by their times, which the cache does not know: name abfs:/)
      await unmount(timed)
    })

    t.test('files are shown by their index tags, where they have some', async (t) => {
      if (kind === 'hierarchical') {
        const argv = ['mount', 'abfs://data', await temporaryMountpoint(t), '-r']
        const refused = await abfs(...argv, '--filter', 'tag=split:train')
        t.not(refused.code, 0)
        t.match(refused.stderr, /ENOTSUP.*have no index tags: leave tag out of --filter/)
        return
      }
      const plain = await mounted()
      const set = `import os; os.setxattr("${plain}/train/b.csv", "azure.tags", b"split=train")`
      t.equal(await shell(`python3 -c '${set}'`), '')
      await unmount(plain)
      const drive = await mounted('--read-only', '--filter', 'tag=split:train && size<100')

      // Asked for one by one, and listed.
      t.match(await shell(`cat '${drive}/a.csv'`), /No such file or directory/)
      t.equal(await shell(`cat '${drive}/train/b.csv'`), 'train/b.csv')
      t.equal(await shell(`cd '${drive}' && find . -type f`), './train/b.csv\n')
      const { code, stderr } = await abfs('warm', drive)
      t.equal(code, 2)
      t.match(stderr, /hides files by their tags, which no cache keeps: name files by/)
      await unmount(drive)
      const others = await mounted('--read-only', '--filter', 'tag!=split:train')
      t.notMatch(await shell(`cd '${others}' && find . -type f`), /b\.csv/)
      t.match(await shell(`cd '${others}' && find . -type f`), /a\.csv/)
      await unmount(others)
    })

    if (kind === 'hierarchical') return
    t.test('of several drives, and of all containers, paths are those in each', async (t) => {
      const [one, two] = [await temporaryMountpoint(t), await temporaryMountpoint(t)]
      const places = ['abfs://data', one, 'abfs://data/train', two]
      const { code, stderr } = await abfs('mount', ...places, '-r', '--include', 'deep/*')
      t.equal(code, 0, stderr)
      t.equal(await shell(`cd '${one}' && find . -type f`), '')
      t.equal(await shell(`cd '${two}' && find . -type f`), './deep/c.csv\n')
      for (const directory of [one, two]) await unmount(directory)

      const all = await temporaryMountpoint(t)
      t.equal((await abfs('mount', 'all', all, '--immutable', '--include', '/*.csv')).code, 0)
      t.equal(await shell(`cd '${all}/data' && find . -type f`), './a.csv\n')
      t.equal((await abfs('unmount', all)).code, 0)
    })

    t.test('options of mount(8) say the same', async (t) => {
      const directory = await temporaryMountpoint(t)
      const options = 'ro,include=*.csv,include=*.txt,exclude=train,filter=format=txt&&size<6'
      const argv = [helper, 'abfs://data', directory, '-o', options]
      await promisify(execFile)(process.execPath, argv, { env: { ...process.env, ...env } })
      t.equal(await shell(`cd '${directory}' && find . -type f`), './a.txt\n')
      await unmount(directory)
    })
  })
}

t.test('who is not granted tags mounts nothing by them', { skip: whyNoCli() }, async (t) => {
  const { client } = await startSandboxConnector(t, {
    account: { name: 'plain' },
    engine: 'abfs',
    editYaml: (yaml) => yaml.replace(/^ +- tag\n/m, ''),
  })
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const directory = await temporaryDirectory(t)
  const mount = (...argv: string[]) =>
    runAbfs(['mount', 'abfs://data', directory, '-r', '--filter', 'tag=a:b', ...argv], { env })

  failsWith(t, await mount(), {
    code: 4,
    line: /EACCES: .* is not granted tag on container 'data'/,
  })
  const { code, stdout } = await mount('--plan')
  t.equal(code, 1)
  t.match(stdout, /failed +list .*is not granted tag on container 'data'/)
})

t.test('what a drive is to hide', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const directory = await temporaryDirectory(t)
  const mount = (...argv: string[]) =>
    runAbfs(['mount', 'abfs://data', directory, ...argv], { env })
  for (const name of ['one.csv', 'two', 'three']) {
    await runAbfs(['cp', '-', `abfs://data/${name}`], { env, input: name })
  }
  const planned = async (...argv: string[]) => {
    const { stdout } = await mount('--plan', '--json', ...argv)
    const { settings, findings } = JSON.parse(stdout)
    const named = (each: { readonly name: string }[], wanted: string) =>
      each.find(({ name }) => name === wanted)
    return { hiding: named(settings, 'hiding'), list: named(findings, 'list'), findings }
  }

  t.test('is refused by name where it is none, and where files are written', async (t) => {
    const refused: [string[], RegExp][] = [
      [['-r', '--include', 'a**b'], /--include a\*\*b: \*\* must be a whole component/],
      [['-r', '--exclude', ''], /--exclude '' can match no path/],
      [['-r', '--filter', 'tag=a'], /--filter has 'tag=a': take size/],
      [['--at', '2026-08-01', '--filter', 'tag=a:b'], /index tags are of the present/],
      [['--include', '*.csv'], /--include hides files, .*: add --read-only/],
      [['--exclude', '*.csv'], /--exclude hides files, .*: add --read-only/],
      [['--filter', 'size>1'], /--filter hides files, .*: add --read-only/],
    ]
    for (const [argv, line] of refused) failsWith(t, await mount(...argv), { code: 2, line })
  })

  t.test('is in a plan, with how much that is', async (t) => {
    const { hiding, list, findings } = await planned('-r', '--include=*.csv', '--filter=size<9')

    t.match(hiding, { value: /"include":\["\*\.csv"\].*"size<9"/, origin: '--include' })
    t.match(list, { verdict: 'ok', detail: /; 1 name in it, and 2 hidden/ })
    const read = findings.find(({ name }: { readonly name: string }) => name === 'read')
    t.match(read, { detail: "one byte of 'one.csv'" })
    t.match((await planned('-r')).hiding, { value: null, origin: 'default' })
  })

  t.test('is taken from azstorage.filter of a drive that is read-only', async (t) => {
    const file = join(await temporaryDirectory(t), 'c.yaml')
    const yaml = 'azstorage: { container: data, filter: "size > 3 && format != csv" }'
    await writeFile(file, yaml)
    const line = /--filter hides files/
    failsWith(t, await mount('--config-file', file), { code: 2, line })
    await writeFile(file, `${yaml}\nread-only: true`)
    const { hiding, list } = await planned('--config-file', file)
    t.match(hiding, { value: /"size > 3 && format != csv"/, origin: `${file}: azstorage.filter` })
    t.match(list, { detail: /; 1 name in it, and 2 hidden/ })
  })
})
