import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts()

t.test('a worker that is terminated takes its mount’s threads along', { skip }, async (t) => {
  const mountpoint = await temporaryMountpoint(t)
  const script = fileURLToPath(new URL('../support/mount-worker.ts', import.meta.url))
  const loader = process.execArgv.filter((argument) => argument.includes('typescript'))
  const options = { timeout: 240_000, killSignal: 'SIGKILL' } as const

  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...loader, script, mountpoint, '3'],
    options,
  )

  t.equal(stdout, '3 workers\n')
})
