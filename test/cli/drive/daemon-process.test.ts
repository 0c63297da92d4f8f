import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { daemonProcess } from '../../../src/cli/drive/daemon-process.ts'

t.test('a daemon has a small heap for what is young, and few arenas', async (t) => {
  const { flags, env } = daemonProcess([], { PATH: '/bin' })
  t.strictSame(flags, ['--max-semi-space-size=4'])
  t.strictSame(env, { PATH: '/bin', MALLOC_ARENA_MAX: '2' })
  const script = 'console.log(v8.getHeapSpaceStatistics().length > 0)'
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, '-e', script], { env })
  t.equal(stdout, 'true\n', 'this version of Node takes the flags')
})

t.test('what the starter asked for stays', async (t) => {
  const asked = { NODE_OPTIONS: '--max-semi-space-size=32', MALLOC_ARENA_MAX: '8' }
  t.strictSame(daemonProcess([], asked), { flags: [], env: asked })
  t.strictSame(daemonProcess(['--max_semi_space_size=1'], {}).flags, [])
})
