/** What `rm` costs on a drive that writes back, and what is left of it when the daemon dies. */
import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { runAbfs, startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { startDrive } from '../support/cli-drive.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

const run = promisify(execFile)
const shell = (script: string) =>
  run('bash', ['-ec', script], { timeout: 120_000 }).then(({ stdout }) => stdout)

t.test('removals of a drive that writes back', { skip: whyNoCli() || whyNoMounts() }, async (t) => {
  const { client } = await startCliSandbox(t)
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const local = join(await temporaryDirectory(t), 'set')
  mkdirSync(local)
  for (let i = 0; i < 300; i++) writeFileSync(join(local, `f${i}`), `${i}`)
  const upload = async (name: string) => {
    const { code, stderr } = await runAbfs(['cp', '-r', local, `abfs://data/${name}`], { env })
    t.equal(code, 0, stderr)
  }
  const names = async (path: string) =>
    (await runAbfs(['ls', `abfs://data/${path}`], { env })).stdout.split('\n').filter(Boolean)

  t.test('rm -r of 300 files is a handful of requests', async (t) => {
    await upload('set')
    await upload('other')
    const drive = await startDrive(t, ['--write-back'], { env })
    const requests = async () => {
      const { stdout } = await runAbfs(['stats', drive.directory, '--json'], { env })
      return JSON.parse(stdout).traffic.requests as number
    }
    const before = await requests()

    await shell(`rm -r '${drive.directory}/set'`)

    const sent = (await requests()) - before
    t.ok(sent > 0 && sent < 15, `${sent} requests`)
    t.match(await names(''), [/other/])
    t.equal(await shell(`ls '${drive.directory}'`), 'other\n')
    t.equal(await drive.end(), 0)
    t.equal((await names('other')).length, 300)
  })

  t.test('what was removed when the daemon is killed, the next mount removes', async (t) => {
    const first = await startDrive(t, ['--write-back'], { env })
    await shell(`cd '${first.directory}/other'; rm f1*; echo new > f1; kill -9 ${first.daemon.pid}`)
    await shell(`umount -l '${first.directory}'`)

    const next = await startDrive(t, ['--write-back'], { env })
    t.equal(await shell(`cd '${next.directory}/other'; ls -d f1*; cat f1`), 'f1\nnew\n')
    t.equal(await next.end(), 0)
    t.equal((await names('other')).filter((line) => /\bf1/.test(line)).length, 1)
  })
})
