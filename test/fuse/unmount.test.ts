import { once } from 'node:events'
import t from 'tap'
import { findMount } from '../../src/fuse/mount-table.ts'
import { unmount } from '../../src/fuse/unmount.ts'
import {
  background,
  MountServer,
  shell,
  startMount,
  temporaryMountpoint,
  untilOpen,
  whyNoMounts,
} from '../support/temp-mount.ts'

const skip = whyNoMounts()

t.test('a read that hangs ends when its reader is killed', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t, { directIo: true })
  const reader = background(t, `cat ${mountpoint}/stuck`)
  await untilOpen(reader.pid, mountpoint)

  reader.kill('SIGKILL')
  await once(reader, 'exit')
  await shell(`umount ${mountpoint}`)

  t.match(await server.said('closed'), { abortedReads: 1 })
})

t.test('umount by anybody ends the server in order', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t)

  await shell(`umount ${mountpoint}`)

  t.match(await server.said('closed'), { unmountedCalls: true })
  t.equal(await server.exit(), 0)
})

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`${signal} unmounts`, { skip }, async (t) => {
    const { server, mountpoint } = await startMount(t)

    server.child.kill(signal)

    t.equal(await server.exit(), 0)
    t.equal(await findMount(mountpoint), undefined)
  })
}

t.test('unmount from another process takes the mount away', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t)

  await unmount(mountpoint)

  t.equal(await server.exit(), 0)
  t.equal(await findMount(mountpoint), undefined)
})

t.test('a mount in use is EBUSY, and goes lazily', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t)
  const user = background(t, `tail -f ${mountpoint}/hello`)
  await untilOpen(user.pid, mountpoint)

  await t.rejects(unmount(mountpoint), { code: 'EBUSY', message: /fuser -vm/ })
  await unmount(mountpoint, { lazy: true })

  t.equal(await findMount(mountpoint), undefined)
  t.notOk(server.ended)
  user.kill('SIGKILL')
  t.equal(await server.exit(), 0)
})

t.test('unmount of nothing is ENOENT, of what is no drive EINVAL', { skip }, async (t) => {
  const directory = await temporaryMountpoint(t)

  await t.rejects(unmount(directory), { code: 'ENOENT', message: /nothing is mounted/ })
  await shell(`mount -t tmpfs none ${directory}`)
  await t.rejects(unmount(directory), { code: 'EINVAL', message: /tmpfs/ })
  await t.rejects(unmount(`${directory}/none/deeper`), { code: 'ENOENT' })
})

t.test('a dead drive can be unmounted', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t)
  server.child.kill('SIGKILL')
  await server.exit()

  await unmount(mountpoint)

  t.equal(await findMount(mountpoint), undefined)
})

t.test('a lazy unmount under load ends when the load does', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t)
  const loads = [
    background(t, `cat ${mountpoint}/zeros`),
    background(t, `dd if=/dev/zero of=${mountpoint}/sink bs=1M count=100000`),
    background(t, `find ${mountpoint} ${'-newer /etc/hostname '.repeat(10)}`),
  ]
  for (const load of loads.slice(0, 2)) await untilOpen(load.pid, mountpoint)

  await unmount(mountpoint, { lazy: true })
  for (const load of loads) load.kill('SIGKILL')

  t.match(await server.said('closed'), { unmountedCalls: true })
  t.equal(await server.exit(), 0)
})

t.test('a forced unmount under load ends the server in order', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t)
  const load = background(t, `cat ${mountpoint}/zeros`)
  await untilOpen(load.pid, mountpoint)

  await shell(`umount -f ${mountpoint}; umount -l ${mountpoint}; true`)

  await server.said('closed')
  t.equal(await server.exit(), 0)
})

t.test('100 mounts and unmounts leave no descriptor open', { skip }, async (t) => {
  const mountpoint = await temporaryMountpoint(t)

  const server = new MountServer({ source: 'abfs://test', mountpoint, loops: 100 })

  t.match(await server.said('looped'), { loops: 100, descriptors: 0 })
  t.equal(await server.exit(), 0)
})
