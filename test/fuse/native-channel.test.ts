import { fileURLToPath } from 'node:url'
import t from 'tap'
import { shell, temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts()

t.test('a worker that is terminated takes its mount’s threads along', { skip }, async (t) => {
  const mountpoint = await temporaryMountpoint(t)
  const script = fileURLToPath(new URL('../support/mount-worker.ts', import.meta.url))
  const loader = process.execArgv.filter((argument) => argument.includes('typescript')).join(' ')

  const output = await shell(`${process.execPath} ${loader} ${script} ${mountpoint} 3`)

  t.equal(output, '3 workers\n')
})
