import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  whyNoCli,
} from '../support/cli.ts'
import { shell, temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

t.test('a mount of the past', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const account = ['--account', 'devstoreaccount1:versioned']
  const { client } = await startCliSandbox(t, ...account)
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const abfs = (argv: readonly string[], input = '') => runAbfs(argv, { env, input })
  const put = (name: string, text: string) => abfs(['cp', '-', `abfs://data/${name}`], text)
  await put('f', 'one')
  await put('dir/gone', 'still here')
  // Ids of versions are real times.
  await delay(50)
  const at = new Date().toISOString()
  await delay(50)
  await put('f', 'two')
  await abfs(['rm', 'abfs://data/dir/gone'])

  t.test('--at shows what was there then, read-only', async (t) => {
    const directory = await temporaryMountpoint(t)
    const { code, stderr } = await abfs(['mount', 'abfs://data', directory, '--at', at])
    t.equal(code, 0, stderr)

    t.equal(await shell(`cat '${directory}/f' '${directory}/dir/gone'`), 'onestill here')
    t.match(await shell(`touch '${directory}/f'`), /Read-only file system/)
    const shown = `abfs://data@${at.replace('Z', '0000Z')}`
    t.match((await abfs(['status'])).stdout, shown)
    failsWith(t, await abfs(['warm', directory, '--cache-dir', '/nowhere']), {
      code: 2,
      line: /shows the past/,
    })
    t.equal((await abfs(['unmount', directory])).stdout, `unmounted ${shown} from ${directory}\n`)
  })

  t.test('a snapshot that nobody took, and times that are none, are told', async (t) => {
    const directory = await temporaryMountpoint(t)
    const mount = (...flags: string[]) => abfs(['mount', 'abfs://data', directory, ...flags])

    failsWith(t, await mount('--snapshot', at), { code: 2, line: /no blob there has a snapshot/ })
    failsWith(t, await mount('--at', 'noon'), { code: 2, line: /--at must be a day, a time with/ })
    failsWith(t, await mount('--at', '2999-01-01'), { code: 2, line: /a time that has been/ })
    failsWith(t, await mount('--at', at, '--plan=write'), { code: 2, line: /leave out =write/ })
  })

  t.test('it may hide a part', async (t) => {
    const directory = await temporaryMountpoint(t)
    const { code, stderr } = await abfs([
      ...['mount', 'abfs://data', directory, '--at', at],
      ...['--exclude', 'f'],
    ])
    t.equal(code, 0, stderr)
    t.equal(await shell(`cd '${directory}' && find . -type f`), './dir/gone\n')
    t.equal((await abfs(['unmount', directory])).code, 0)
  })

  t.test('--plan tries the past too', async (t) => {
    const directory = await temporaryMountpoint(t)
    const flags = ['--at', at, '--plan', '--json']

    const { code, stdout } = await abfs(['mount', 'abfs://data', directory, ...flags])

    t.equal(code, 0, stdout)
    const { findings } = JSON.parse(stdout)
    const read = findings.find(({ name }: { name: string }) => name === 'read')
    t.match(read, { verdict: 'ok', detail: "one byte of 'f'" })
  })
})
