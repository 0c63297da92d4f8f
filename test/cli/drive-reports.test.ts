import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import {
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
const shell = (script: string) => run('bash', ['-ec', script], { timeout: 30_000 })

t.test('what a drive tells of itself', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: state }
  const abfs = (...argv: string[]) => runAbfs(argv, { env })
  const directory = await temporaryMountpoint(t)
  const at = (name: string) => join(state, name)
  const flags = ['--access-log', at('access.log'), '--health-file', at('health.json')]
  const listen = ['--metrics-listen', '127.0.0.1:0', '--log-file', at('drive.log')]
  const slow = ['--slow', '0.000001']
  const result = await abfs('mount', 'abfs://data', directory, ...flags, ...listen, ...slow)
  t.equal(result.code, 0, result.stderr)
  await shell(`head -c 300000 /dev/urandom > '${directory}/file'; cat '${directory}/file' > /dev/null
    ls -l '${directory}'`)
  const drives = async () => {
    const { code, stdout } = await abfs('status', '--json')
    const own = JSON.parse(stdout).filter(
      (each: { directory: string }) => each.directory === directory,
    )
    return { code, own }
  }

  t.test('status lists it with its process, and its socket is closed to others', async (t) => {
    const { own } = await drives()

    t.match(own, [{ source: 'abfs://data', state: 'serving', unsaved: [] }])
    t.match(
      (await abfs('status')).stdout,
      new RegExp(`${directory} +abfs://data +serving +${own[0].pid} `),
    )
    const note = (await shell(`grep -l '"${directory}"' /run/abfs/*.json | xargs cat`)).stdout
    t.equal(statSync(JSON.parse(note).controlSocket).mode & 0o777, 0o600)
  })

  t.test('stats counts calls, bytes and requests with their cost', async (t) => {
    const report = JSON.parse((await abfs('stats', directory, '--json')).stdout)
    const { stdout } = await abfs('stats', directory)

    t.equal(report.calls.writtenBytes, 300_000)
    t.ok(report.calls.byName.lookup.count >= 1)
    const ofPrograms = Object.keys(report.calls.byName)
    t.strictSame(
      ofPrograms.filter((name) => !/^[a-z]+$/.test(name)),
      [],
    )
    t.equal(report.traffic.requestsByOperation['blob.put'], 1)
    const { requestsByOperation: by } = report.traffic
    const most = (Object.values<number>(by).reduce((sum, count) => sum + count, 0) * 0.05) / 10_000
    t.ok(report.estimatedDollars > 0 && report.estimatedDollars <= most)
    const prices = async (list: string) =>
      (await abfs('stats', directory, '--json', '--prices', list)).stdout
    const own = JSON.parse(await prices('write=100,list=0,read=0,other=0'))
    t.equal(own.estimatedDollars, 0.01)
    t.equal((await abfs('stats', directory, '--prices', 'write=dear')).code, 2)
    t.match(
      stdout,
      /^passthrough off: nothing is kept on the local disk: there is no --cache-dir$/m,
    )
    t.match(stdout, /written by programs +293\.0 KiB/)
    t.match(stdout, /^blob\.put +write +1 /m)
    t.match(stdout, /^about \$0\.00\d*[1-9]\d* for all requests/m)
  })

  t.test('--watch shows rates until it is interrupted', async (t) => {
    const argv = ['stats', directory, '--watch', '--interval', '0.2', '--json']
    const child = startAbfs(argv, { env })
    const output = outputOf(child)
    await until(() => output.stdout.split('\n').length > 2)

    child.kill('SIGINT')
    const [code] = await once(child, 'exit')

    t.equal(code, 130)
  })

  t.test('metrics are served to Prometheus, and nothing else is', async (t) => {
    const log = await readFile(at('drive.log'), 'utf8')
    const port = /"port":(\d+)/.exec(log)?.[1]
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`)

    const metrics = await (await get('/metrics')).text()

    t.match(metrics, /^abfs_drive_written_bytes_total 300000$/m)
    t.match(metrics, /^abfs_drive_requests_total\{operation="blob.put",class="write"\} 1$/m)
    t.match(metrics, /^abfs_drive_call_duration_seconds_count\{call="write"\} [1-9]/m)
    t.equal((await get('/health')).status, 200)
    t.equal((await get('/report')).status, 404)
  })

  t.test('the access log names files and callers, slow calls have their requests', async (t) => {
    const isWrite = (line: string) => line.includes('"call":"write","path":"/file"')
    await until(() => readFileSync(at('access.log'), 'utf8').split('\n').some(isWrite))
    const lines = readFileSync(at('access.log'), 'utf8').trim().split('\n')
    const writes = lines.map((line) => JSON.parse(line)).filter(({ call }) => call === 'write')
    const warned = (await readFile(at('drive.log'), 'utf8'))
      .split('\n')
      .filter((line) => line.includes('slow call'))
      .map((line) => JSON.parse(line))

    t.equal(
      writes.reduce((sum, { bytes }) => sum + bytes, 0),
      300_000,
    )
    t.ok(writes.every(({ callerPid, callerUid }) => callerPid > 0 && callerUid === 0))
    t.ok(warned.some(({ call, requestIds }) => call === 'flush' && requestIds?.length >= 1))
  })

  t.test('SIGHUP opens the logs anew, after they were moved away', async (t) => {
    const [drive] = (await drives()).own
    for (const name of ['access.log', 'drive.log']) await rename(at(name), at(`${name}.1`))

    process.kill(drive?.pid, 'SIGHUP')
    await until(() => existsSync(at('access.log')) && existsSync(at('drive.log')))
    await shell(`mkdir '${directory}/made after' && rmdir '${directory}/made after'`)

    await until(() => readFileSync(at('access.log'), 'utf8').includes('made after'))
    t.match(await readFile(at('drive.log'), 'utf8'), /logs are opened again/)
    t.notMatch(await readFile(at('access.log.1'), 'utf8'), /made after/)
    t.match(await readFile(at('drive.log.1'), 'utf8'), /"mounted"/)
  })

  t.test(
    'the health file is there while it serves, and the drive is forgotten after',
    async (t) => {
      t.match(JSON.parse(await readFile(at('health.json'), 'utf8')), { directory, unsaved: [] })
      t.equal((await abfs('unmount', directory)).code, 0)

      await t.rejects(readFile(at('health.json')), { code: 'ENOENT' })
      t.strictSame((await drives()).own, [])
      t.equal((await abfs('stats', directory)).code, 3)
    },
  )
})
