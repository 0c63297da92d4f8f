/** A drive whose service keeps single reads waiting. */
import t from 'tap'
import {
  controlSandbox,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

const bytes = 'x'.repeat(1000)

t.test('a drive with --hedge', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client, variables } = await startCliSandbox(t, '--control-port', '0', '--engine', 'abfs')
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const source = await temporaryDirectory(t)
  await shell(
    `cd '${source}' && mkdir late && for n in $(seq 75) late/1; do printf ${bytes} > $n; done`,
  )
  await runAbfs(['cp', '-r', `${source}/`, 'abfs://data'], { env })
  const { directory, daemon, output } = await startDrive(t, ['--hedge'], { env })
  const stats = async () => {
    const { stdout } = await runAbfs(['stats', directory, '--json'], { env })
    return JSON.parse(stdout) as Stats
  }
  // What is usual has to be known before anything is late: half a second, as more than one in twenty take that long.
  await controlSandbox(variables, 'latency', { latencyMs: 500 })
  await shell(`cd '${directory}' && for n in $(seq 10); do cat $n; done`)
  await controlSandbox(variables, 'latency', {})
  await shell(`cd '${directory}' && for n in $(seq 11 75); do cat $n; done`)
  const before = await stats()
  const faults = [{ verb: 'GetBlob', count: 1, effect: { kind: 'stall' } }]
  await controlSandbox(variables, 'faults', { faults })

  // In a directory of its own: those beside the others are fetched before they are opened.
  const read = await shell(`timeout 30 cat '${directory}/late/1'`)

  t.equal(read, bytes, 'a read that the service never answers is overtaken')
  const after = await stats()
  t.equal(after.traffic.hedges - before.traffic.hedges, 1)
  t.equal(after.calls.readBytes - before.calls.readBytes, bytes.length, 'bytes are given once')
  t.equal(after.traffic.retries, before.traffic.retries, 'it is no retry')
  const { stdout } = await runAbfs(['stats', directory], { env })
  t.match(stdout, /hedges [1-9]/)
  daemon.kill('SIGTERM')
  await until(() => daemon.exitCode !== null)
  t.equal(daemon.exitCode, 0, output.stderr)
})

interface Stats {
  readonly traffic: { readonly hedges: number; readonly retries: number }
  readonly calls: { readonly readBytes: number }
}
