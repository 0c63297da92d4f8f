import { createRequire } from 'node:module'
import t from 'tap'
import { loadFuseNative } from '../../src/fuse/fuse-native/binding.ts'
import { fuseNativeLimits } from '../../src/fuse/fuse-native/limits.ts'
import { shell, startMount, whyNoMounts } from '../support/temp-mount.ts'

const skip = whyNoMounts() || whyNoFuseNative()

function whyNoFuseNative(): string | false {
  try {
    createRequire(import.meta.url)('fuse-native')
    return false
  } catch {
    return 'fuse-native, or libfuse 2, is not installed'
  }
}

t.test('the driver says what to install where it is missing', async (t) => {
  if (whyNoFuseNative() === false) {
    t.type(await loadFuseNative(), 'function')
    return
  }
  await t.rejects(loadFuseNative(), { code: 'ENOTSUP', message: /libfuse2/ })
})

t.test('files and directories are made, read, changed, moved and removed', { skip }, async (t) => {
  const { mountpoint, server } = await startMount(t, { driver: 'fuse-native' })

  const output = await shell(
    `cd ${mountpoint} && cat hello && mkdir d && echo one > d/a && echo two >> d/a && cat d/a && ` +
      'mv d/a d/b && ln -s b d/l && cat d/l && chmod 640 d/b && stat -c "%a %s" d/b && ls d && ' +
      'truncate -s 3 d/b && cat d/b && echo && rm -r d && ls d',
  )

  t.match(output, /^hello, world\none\ntwo\none\ntwo\n640 8\nb\nl\none\n.*No such file/)
  server.child.kill('SIGTERM')
  t.equal(await server.exit(), 0)
})

t.test('a large file comes back as it was written', { skip }, async (t) => {
  const { mountpoint } = await startMount(t, { driver: 'fuse-native' })
  const local = `${t.testdir({})}/random`

  const output = await shell(
    `head -c 3000001 /dev/urandom > ${local} && cp ${local} ${mountpoint}/copy && ` +
      `cmp ${local} ${mountpoint}/copy && echo same; cat ${mountpoint}/broken`,
  )

  t.match(output, /^same\n.*Input\/output error/)
})

t.test('a mount point that a shell would read is refused', { skip }, async (t) => {
  const directory = t.testdir({ '$(id)': {} })

  await t.rejects(startMount(t, { driver: 'fuse-native', mountpoint: `${directory}/$(id)` }))
})

t.test('its limits are sentences for the doctor', (t) => {
  t.ok(fuseNativeLimits.length > 5)
  for (const limit of fuseNativeLimits) t.match(limit, /^[A-Z].*\.$/)
  t.end()
})
