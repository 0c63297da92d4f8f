import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import {
  failsWith,
  outputOf,
  runAbfs,
  startAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const run = promisify(execFile)
const shell = (script: string, cwd?: string) =>
  run('bash', ['-ec', script], { cwd, timeout: 60_000 }).then(({ stdout }) => stdout)
const isMounted = (directory: string) =>
  readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `)

t.test('a drive by the command line', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t)
  const state = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: state }
  const abfs = (...argv: string[]) => runAbfs(argv, { env })
  const mounted = async (t: Test, ...flags: string[]) => {
    const directory = await temporaryMountpoint(t)
    const result = await abfs('mount', 'abfs://data', directory, ...flags)
    t.equal(result.code, 0, result.stderr)
    return directory
  }
  /** A small tree with what copies lose easily. */
  const source = join(await temporaryDirectory(t), 'source')
  await shell(`mkdir -p '${source}/deep/er' '${source}/empty'; cd '${source}'
    for i in $(seq 60); do head -c $((i * 997)) /dev/urandom > "file $i %#+ü"; done
    head -c 20000000 /dev/urandom > deep/er/big; ln -s 'deep/er/big' link; ln -s nowhere dangling
    chmod 640 'file 1 %#+ü'; chmod 700 deep; touch -d '2001-02-03 04:05:06.5' 'file 2 %#+ü' deep/er`)
  const listing = `find . -mindepth 1 -printf '%P %y %m %s %T@ %l\\n' | grep -v ' d ' | sort; find . -type f -exec sha256sum {} + | sort`

  t.test('what cp -a puts in is there after the daemon was replaced', async (t) => {
    const directory = await mounted(t)
    await shell(`cp -a '${source}' '${directory}/copied'`)
    t.equal((await abfs('unmount', directory)).code, 0)
    t.notOk(isMounted(directory))

    t.equal((await abfs('mount', 'abfs://data/copied', directory, '--read-only')).code, 0)
    const found = await shell(listing, directory)
    await t.rejects(shell(`touch '${directory}/new'`), /Read-only file system/)
    t.equal((await abfs('unmount', directory)).code, 0)

    t.equal(found, await shell(listing, source))
  })

  t.test('a second rsync -a has nothing to do', { skip: await lacks('rsync') }, async (t) => {
    const directory = await mounted(t)

    await shell(`rsync -a '${source}/' '${directory}/synced/'`)
    const again = await shell(`rsync -ai '${source}/' '${directory}/synced/'`)

    t.equal(again, '')
    t.equal((await abfs('unmount', directory)).code, 0)
  })

  t.test('in the foreground Ctrl-C unmounts, after what was written is stored', async (t) => {
    const directory = await temporaryMountpoint(t)
    const child = startAbfs(['mount', 'abfs://data', directory, '--foreground'], { env })
    const output = outputOf(child)
    await until(() => output.stderr.includes('mounted on'))
    await writeFile(join(directory, 'at the end'), 'kept')

    child.kill('SIGINT')
    const [code] = await once(child, 'exit')

    t.equal(code, 0)
    t.notOk(isMounted(directory))
    t.equal((await abfs('cat', 'abfs://data/at the end')).stdout, 'kept')
  })

  t.test('a busy drive is told with the process, and --lazy detaches it', async (t) => {
    const directory = await mounted(t)
    const user = execFile('sleep', ['60'], { cwd: directory })
    await once(user, 'spawn')

    const refused = await abfs('unmount', directory)
    const detached = await abfs('unmount', '--lazy', '--wait', '0', directory)
    user.kill()

    failsWith(t, refused, { code: 6, line: new RegExp(`in use by sleep \\(pid ${user.pid}\\)`) })
    t.notOk(isMounted(directory))
    t.ok([0, 5].includes(detached.code ?? -1), detached.stderr)
  })

  t.test('--stats-file is written when the drive goes', async (t) => {
    const file = join(await temporaryDirectory(t), 'stats.json')
    const directory = await mounted(t, '--stats-file', file)
    await shell(`ls '${directory}'`)

    t.equal((await abfs('unmount', directory)).code, 0)

    const report = JSON.parse(await readFile(file, 'utf8'))
    t.ok(report.requestsByOperation['blob.list'] >= 1)
    t.equal(report.credentials.received, 1)
  })

  t.test('the daemon’s environment and log hold no secret', async (t) => {
    const log = join(await temporaryDirectory(t), 'drive.log')
    const directory = await mounted(t, '--log-file', log, '--log-level', 'debug')
    await shell(`ls '${directory}'`)

    t.equal((await abfs('unmount', directory)).code, 0)

    const text = await readFile(log, 'utf8')
    const key = await readFile(client['ABFS_CONNECTOR_KEY_FILE'] ?? '', 'utf8')
    t.match(text, /credential received/)
    t.notMatch(text, /sig=|Bearer /)
    t.notOk(text.includes(key.trim()))
  })

  t.test('a mount point that is missing, not empty or no directory is told', async (t) => {
    const directory = await temporaryDirectory(t)
    await mkdir(join(directory, 'full'))
    await writeFile(join(directory, 'full/file'), '')

    const at = (name: string) => abfs('mount', 'abfs://data', join(directory, name))

    failsWith(t, await at('missing'), { code: 3, line: /no such directory: create it with/ })
    failsWith(t, await at('full'), { code: 6, line: /ENOTEMPTY: the directory has files in it/ })
    failsWith(t, await at('full/file'), { code: 3, line: /ENOTDIR: the mount point is not a dir/ })
  })

  t.test('a directory that is mounted already is told', async (t) => {
    const directory = await mounted(t)

    const again = await abfs('mount', 'abfs://data', directory)
    await abfs('unmount', directory)

    failsWith(t, again, { code: 6, line: /EBUSY: abfs:\/\/data is already mounted there/ })
  })

  t.test('a directory that is no drive cannot be unmounted', async (t) => {
    const directory = await temporaryDirectory(t)

    failsWith(t, await abfs('unmount', directory), { code: 3, line: /nothing is mounted there/ })
  })

  t.test('a log that can be nowhere is told, with what to set', async (t) => {
    const directory = await temporaryMountpoint(t)
    const nowhere = { ...env, XDG_STATE_HOME: '/dev/null/state' }

    const result = await runAbfs(['mount', 'abfs://data', directory], { env: nowhere })

    failsWith(t, result, { code: 4, line: /log \(ENOTDIR.*set XDG_STATE_HOME .* or .*--log-file/ })
    t.notOk(isMounted(directory))
  })

  t.test('a drive left dead by a crash is replaced by the next mount', async (t) => {
    const directory = await mounted(t)
    const { pid } = JSON.parse(await noteOf(directory))
    process.kill(pid, 'SIGKILL')
    await t.rejects(shell(`for i in $(seq 50); do ls '${directory}' || exit 1; sleep 0.1; done`))

    t.equal((await abfs('mount', 'abfs://data', directory)).code, 0)
    t.equal((await abfs('unmount', directory)).code, 0)
  })

  t.test('a dead drive can be unmounted as any other', async (t) => {
    const directory = await mounted(t)
    const { pid } = JSON.parse(await noteOf(directory))
    process.kill(pid, 'SIGKILL')
    await t.rejects(shell(`for i in $(seq 50); do ls '${directory}' || exit 1; sleep 0.1; done`))

    t.equal((await abfs('unmount', directory)).code, 0)
    t.notOk(isMounted(directory))
  })

  t.test('a container that is missing is told by mount, not by the first ls', async (t) => {
    const directory = await temporaryMountpoint(t)

    const result = await abfs('mount', 'abfs://missing', directory)

    failsWith(t, result, { code: 3, line: /container does not exist/ })
    t.notOk(isMounted(directory))
  })

  t.test('a connector that is down is told by mount', async (t) => {
    const directory = await temporaryMountpoint(t)
    const down = { ...env, ABFS_CONNECTOR_URL: 'http://127.0.0.1:9/' }

    const result = await runAbfs(['mount', 'abfs://data', directory], { env: down })

    failsWith(t, result, { code: 5, line: /the connector at .* does not answer/ })
    t.notOk(isMounted(directory))
  })

  t.test('a full disk for buffered writes is passed by: all is stored', async (t) => {
    const cache = await temporaryMountpoint(t)
    await shell(`mount -t tmpfs -o size=1m tmpfs '${cache}'`)
    const directory = await mounted(t, '--cache-dir', cache)
    const content = 'seq 9000000 | head -c 64M'

    await shell(`${content} > '${directory}/full'`)
    t.equal((await abfs('unmount', directory)).code, 0)

    const again = await mounted(t)
    t.equal(await shell(`sha256sum < '${again}/full'`), await shell(`${content} | sha256sum`))
    t.equal((await abfs('unmount', again)).code, 0)
  })
})

/** What the daemon noted about the drive. */
async function noteOf(directory: string): Promise<string> {
  return shell(`grep -l '"${directory}"' /run/abfs/*.json | xargs cat`)
}

/** Why a program cannot be tested with; `false` when it is installed. */
async function lacks(program: string): Promise<string | false> {
  return shell(`command -v ${program}`).then(
    () => false,
    () => `${program} is not installed`,
  )
}
