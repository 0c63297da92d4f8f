import t from 'tap'
import { runAbfs, startCliSandbox, whyNoCli } from '../support/cli.ts'
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
