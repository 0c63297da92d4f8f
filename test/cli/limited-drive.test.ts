/** A drive that is held to a rate. */
import { createHash, randomBytes } from 'node:crypto'
import t from 'tap'
import { MiB } from '../../src/byte-range.ts'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  until,
  whyNoCli,
} from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

t.test('a drive with limits', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const state = await temporaryDirectory(t)
  const env = { ...client, XDG_STATE_HOME: state }
  const bytes = randomBytes(8 * MiB)
  const sum = createHash('sha256').update(bytes).digest('hex')
  await runAbfs(['cp', '-', 'abfs://data/large'], { env, input: bytes })
  const rates = ['--max-read-rate', '2M', '--max-write-rate', '4M']
  const { directory, daemon, output } = await startDrive(t, rates, { env })

  const beganMs = performance.now()
  const reading = shell(`sha256sum < '${directory}/large'`)
  await shell(`ls '${directory}'`)
  t.match(await reading, new RegExp(`^${sum}`))
  // No machine is so fast that it is sooner: but for what is in stock, 8 MiB are four seconds.
  t.ok(performance.now() - beganMs > 3500)
  const writingMs = performance.now()
  await shell(`head -c 8388608 '${directory}/large' > '${directory}/copy'`)
  t.ok(performance.now() - writingMs > 1500)
  t.match(await shell(`sha256sum < '${directory}/copy'`), new RegExp(`^${sum}`))
  daemon.kill('SIGTERM')
  await until(() => daemon.exitCode !== null)
  t.equal(daemon.exitCode, 0, output.stderr)

  t.test('says in its plan where a limit is from', async (t) => {
    const plan = ['mount', '--plan', '--json', 'abfs://data', directory, ...rates]
    const { stdout } = await runAbfs([...plan, '--max-requests-per-second=20'], { env })
    const { settings } = JSON.parse(stdout) as { settings: { name: string }[] }
    const setting = (name: string) => settings.find((each) => each.name === name)
    t.match(setting('maxReadRate'), { value: 2 * MiB, origin: '--max-read-rate' })
    t.match(setting('maxRequestsPerSecond'), { value: 20, origin: '--max-requests-per-second' })
  })

  t.test('refuses what is none', async (t) => {
    for (const wrong of ['--max-read-rate=5', '--max-requests-per-second=0']) {
      const result = await runAbfs(['mount', 'abfs://data', directory, wrong], { env })
      failsWith(t, result, { code: 2, line: new RegExp(`${wrong.split('=')[0]} must be`) })
    }
  })

  t.test('lets no call be late that waits for its turn only', async (t) => {
    const zeros = new Uint8Array(64 * MiB)
    await runAbfs(['cp', '-', 'abfs://data/zeros'], { env, input: zeros })
    const slow = await startDrive(t, ['--max-read-rate', '1M', '--timeout', '5'], { env })
    // Each asks for a piece of its own, and they take turns: all of them wait for most of the time.
    const slowMs = performance.now()
    const pieces = `seq 4 4 252 | xargs -P 63 -I{} dd bs=256K skip={} count=1 status=none if='${slow.directory}/zeros'`
    const read = await shell(`${pieces} | wc -c`)
    t.equal(Number(read), 63 * 256 * 1024)
    t.ok(performance.now() - slowMs > 10_000, 'longer than a call may take')
    t.equal(await slow.end(), 0, slow.output.stderr)
  })
})
