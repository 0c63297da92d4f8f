/** A drive of what nobody changes, beside one that looks again. */
import t from 'tap'
import { runAbfs, startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { shell, whyNoMounts } from '../support/temp-mount.ts'

t.test('a drive that is --immutable', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const write = (name: string, input: string) =>
    runAbfs(['cp', '-', `abfs://data/${name}`], { env, input })
  await write('d/one', 'one')
  await write('d/two', 'two')
  const mounted = async (...flags: string[]) => {
    const { directory, end } = await startDrive(t, flags, { env })
    const requests = async () => {
      const { stdout } = await runAbfs(['stats', directory, '--json'], { env })
      const { traffic } = JSON.parse(stdout) as { readonly traffic: { readonly requests: number } }
      return traffic.requests
    }
    return { directory, requests, end }
  }
  const immutable = await mounted('--immutable')
  const usual = await mounted('--read-only')
  const look = ({ directory }: { readonly directory: string }) =>
    shell(
      `ls -lR '${directory}' && cat '${directory}/d/one' && ls -l '${directory}/d/absent' 2>&1 || true`,
    )
  const first = await look(immutable)
  await look(usual)
  const asked = { immutable: await immutable.requests(), usual: await usual.requests() }
  await write('d/three', 'three')
  // Longer than listings are believed otherwise, and what the kernel holds is taken from it.
  await new Promise((resolve) => setTimeout(resolve, 5500))
  await shell('(echo 2 > /proc/sys/vm/drop_caches) 2>/dev/null || true')

  t.equal(await look(immutable), first, 'it shows what it has shown')
  t.equal(await immutable.requests(), asked.immutable, 'and asks nobody')
  t.match(await look(usual), /three/)
  t.ok((await usual.requests()) > asked.usual, 'where others ask again')
  t.match(await shell(`touch '${immutable.directory}/new' 2>&1 || true`), /Read-only file system/)
  t.equal(await immutable.end(), 0)
  t.equal(await usual.end(), 0)

  const wrong = await runAbfs(['mount', 'abfs://data', '/mnt', '--immutable', '--attr-ttl', '3'])
  t.equal(wrong.code, 2)
  t.match(wrong.stderr, /leave out --attr-ttl/)
})
