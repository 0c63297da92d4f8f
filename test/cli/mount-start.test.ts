/** How mounting begins where something is not as it should be, and by the other driver. */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  whyNoCli,
} from '../support/cli.ts'
import { smallDisk } from '../support/small-disk.ts'
import { shell, temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const isMounted = (directory: string) =>
  readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `)

/** The URL of a server that takes connections and never says a word. */
async function silentServer(t: Test): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}/`
}

function whyNoFuseNative(): string | false {
  try {
    createRequire(import.meta.url)('fuse-native')
    return false
  } catch {
    return 'fuse-native, or libfuse 2, is not installed'
  }
}

t.test('how mounting begins', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: state }
  const mount = async (t: Test, variables: Readonly<Record<string, string>>, ...argv: string[]) => {
    const directory = await temporaryMountpoint(t)
    const result = await runAbfs(['mount', ...argv, directory], { env: { ...env, ...variables } })
    return { ...result, directory }
  }

  t.test('a connector that takes calls and does not answer is given up in time', async (t) => {
    const silent = { ABFS_CONNECTOR_URL: await silentServer(t) }
    const begun = performance.now()

    const result = await mount(t, silent, '--start-timeout', '2', 'abfs://data')

    failsWith(t, result, { code: 5, line: /ETIMEDOUT: waited 2 s for the connector at http/ })
    t.notOk(isMounted(result.directory))
    t.ok(performance.now() - begun < 30_000, 'what was sent is not waited for')
  })

  t.test('a service that is silent is told while it is waited for', async (t) => {
    const silent = { ABFS_BLOB_ENDPOINT: `${await silentServer(t)}devstoreaccount1` }

    const { code, stderr } = await mount(t, silent, '--start-timeout', '6', 'abfs://data')

    t.equal(code, 5)
    const [notice, error] = stderr.split('\n')
    t.match(notice, /^abfs: waiting for the blob service at http.*; giving up in 1 s$/)
    t.match(error, /^abfs: ETIMEDOUT: waited 6 s for the blob service at http/)
  })

  t.test('so is mount all, and a plan', async (t) => {
    const silent = { ABFS_CONNECTOR_URL: await silentServer(t) }

    const all = await mount(t, silent, '--start-timeout', '1', 'all')
    const plan = await mount(t, silent, '--start-timeout', '1', '--plan', 'abfs://data')

    failsWith(t, all, { code: 5, line: /waited 1 s for the connector/ })
    t.equal(plan.code, 1)
    t.match(plan.stdout, /^failed +list +ETIMEDOUT: waited 1 s for the connector/m)
    t.match(plan.stdout, /^ok +directory /m)
    const none = await mount(t, {}, '--start-timeout', '0', 'abfs://data')
    failsWith(t, none, { code: 2, line: /--start-timeout must be more than 0 seconds/ })
  })

  t.test('that a directory does not exist is told where the drive is mounted', async (t) => {
    const { code, stderr, directory } = await mount(t, {}, 'abfs://data/typo')
    const other = await mount(t, {}, '--read-only', 'abfs://data/typo')
    const line = 'abfs: abfs://data/typo does not exist: the drive is empty'

    t.equal(code, 0)
    t.equal(stderr, `${line}, and what is written there makes it\n`)
    t.equal(other.stderr, `${line}\n`)
    const unmounted = await runAbfs(['unmount', directory, other.directory], { env })
    t.equal(unmounted.code, 0, unmounted.stderr)
  })

  t.test('a file to write to whose directory is missing is told by its flag', async (t) => {
    for (const flag of ['--access-log', '--health-file', '--log-file', '--stats-file']) {
      const result = await mount(t, {}, flag, `${state}/mistyped/file`, 'abfs://data')

      failsWith(t, result, {
        code: 2,
        line: new RegExp(`${flag} .*mistyped/file: there is no dir`),
      })
      t.notOk(isMounted(result.directory))
    }
    t.notOk(existsSync(`${state}/mistyped`), 'nothing is made')
    const result = await mount(t, {}, '--access-log', state, 'abfs://data')
    failsWith(t, result, { code: 2, line: /--access-log must be a file, and .* is a directory/ })
  })

  t.test('logs on a full disk cost lines, and the drive nothing', async (t) => {
    const disk = smallDisk(t, 65_536)
    const logs = [
      '--access-log',
      `${disk}/access`,
      '--log-file',
      `${disk}/log`,
      '--log-level',
      'debug',
    ]
    const { code, stderr, directory } = await mount(t, {}, ...logs, 'abfs://data')
    t.equal(code, 0, stderr)
    const ask =
      'for i in $(seq 300); do stat none-$i 2> /dev/null || true; echo $i > some-$((i % 20)); done'
    t.equal(await shell(`cd ${directory}; ${ask}`), '')
    t.equal(
      await shell(`cd ${disk}; head -c 99999 /dev/zero > more 2> /dev/null; stat -f -c %a .`),
      '0\n',
    )

    t.equal(await shell(`cd ${directory}; ${ask}; cat some-0`), '300\n')
    const unmounted = await runAbfs(['unmount', '--wait', '30', directory], { env })

    t.equal(unmounted.code, 0, unmounted.stderr)
    const again = await mount(t, {}, ...logs, 'abfs://data')
    t.equal(again.code, 0, again.stderr)
    t.equal(await shell(`cat ${again.directory}/some-0`), '300\n')
    t.equal((await runAbfs(['unmount', '--wait', '30', again.directory], { env })).code, 0)
  })

  t.test('an access log that cannot be written is told by mount', async (t) => {
    const result = await mount(t, {}, '--access-log', '/proc/access', 'abfs://data')

    failsWith(t, result, { code: 4, line: /EACCES: --access-log cannot be written: ENOENT/ })
    t.notOk(isMounted(result.directory))
  })

  t.test('flags that would do nothing beside others are refused', async (t) => {
    const told = async (...flags: string[]) => {
      const result = await mount(t, {}, ...flags, 'abfs://data')
      t.equal(result.code, 2, flags.join(' '))
      t.notOk(isMounted(result.directory))
      return result.stderr
    }

    t.match(await told('--read-only', '--write-back'), /leave it out, or --read-only/)
    t.match(await told('--at', '2026-01-01', '--on-conflict', 'ours'), /leave it out, or --at/)
    t.match(await told('--hard', '--timeout', '5'), /leave out --timeout, or --hard/)
    t.match(await told('--cache-size', '1G'), /--cache-size is of --cache-dir \(ABFS_CACHE_DIR\)/)
    t.match(await told('--uid', '4294967295'), /--uid must be a number, not '4294967295'/)
  })

  t.test(
    'a drive by fuse-native is known, and ends when it is unmounted',
    { skip: whyNoFuseNative() },
    async (t) => {
      const { code, stderr, directory } = await mount(
        t,
        {},
        '--driver',
        'fuse-native',
        'abfs://data',
      )
      t.equal(code, 0, stderr)
      t.equal(await shell(`echo kept > ${directory}/by-fuse-native`), '')
      const drives = JSON.parse((await runAbfs(['status', '--json'], { env })).stdout)
      const own = drives.filter((each: { directory: string }) => each.directory === directory)
      t.match(own, [{ source: 'abfs://data', state: 'serving' }])

      const unmounted = await runAbfs(['unmount', '--wait', '30', directory], { env })

      t.equal(unmounted.code, 0, unmounted.stderr)
      t.notOk(isMounted(directory))
      const { stdout } = await runAbfs(['cat', 'abfs://data/by-fuse-native'], { env })
      t.equal(stdout, 'kept\n')
    },
  )

  t.test(
    'fuse-native writes nothing on a read-only drive',
    { skip: whyNoFuseNative() },
    async (t) => {
      const { directory } = await mount(
        t,
        {},
        '--driver',
        'fuse-native',
        '--read-only',
        'abfs://data',
      )

      t.match(await shell(`touch ${directory}/new`), /Read-only file system/)
      t.equal((await runAbfs(['unmount', '--wait', '30', directory], { env })).code, 0)
    },
  )
})
