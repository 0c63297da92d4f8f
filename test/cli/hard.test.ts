/** Drives whose service goes away: one waits for it, the other gives up. */
import { execFile } from 'node:child_process'
import { createServer, connect as dial, type Socket } from 'node:net'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { runAbfs, startCliSandbox, temporaryDirectory, until, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

const run = promisify(execFile)
const shell = (script: string) =>
  run('bash', ['-ec', script], { timeout: 120_000 }).then(({ stdout }) => stdout)

/** What stands before a service, and breaks every connection while that is down. */
async function startProxy(t: Test, target: URL) {
  const proxy = { url: new URL(target), isDown: false, refused: 0 }
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    if (proxy.isDown) {
      proxy.refused += 1
      client.destroy()
      return
    }
    const upstream = dial(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    }
    client.pipe(upstream).pipe(client)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  proxy.url.port = typeof address === 'object' && address !== null ? String(address.port) : ''
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(() => {
    cut()
    server.close()
  })
  const goDown = (): void => {
    proxy.isDown = true
    cut()
  }
  return Object.assign(proxy, { goDown })
}

t.test('drives whose service goes away', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const proxy = await startProxy(t, new URL(client['ABFS_BLOB_ENDPOINT'] ?? ''))
  const env = {
    ...client,
    ABFS_BLOB_ENDPOINT: proxy.url.href,
    XDG_STATE_HOME: await temporaryDirectory(t),
  }
  for (const name of ['read', 'other']) {
    await runAbfs(['cp', '-', `abfs://data/${name}`], { env: client, input: name })
  }
  const mounted = (...flags: string[]) => startDrive(t, ['--attr-ttl', '0', ...flags], { env })
  const hard = await mounted('--hard')
  const soft = await mounted()

  t.test('with --hard calls wait until it is back, where others fail', async (t) => {
    proxy.goDown()
    let ended = 0
    const calls = [`cat '${hard.directory}/read'`, `echo written > '${hard.directory}/new'`].map(
      (script) => shell(script).finally(() => (ended += 1)),
    )

    await t.rejects(shell(`cat '${soft.directory}/read'`), /Input\/output error/)
    t.equal(ended, 0, 'the others still wait')
    proxy.isDown = false

    t.strictSame(await Promise.all(calls), ['read', ''])
    t.equal((await runAbfs(['cat', 'abfs://data/new'], { env: client })).stdout, 'written\n')
  })

  t.test('a drive that is told to end waits no longer', async (t) => {
    const { directory, daemon } = hard
    proxy.goDown()
    const before = proxy.refused
    const reading = shell(`cat '${directory}/other'`)
    await until(() => proxy.refused > before)

    daemon.kill('SIGTERM')
    await t.rejects(reading, /Input\/output error/)

    daemon.kill('SIGTERM')
    await until(() => daemon.exitCode !== null)
    t.equal(daemon.exitCode, 0)
  })
})
