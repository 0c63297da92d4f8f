import { chmod, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { findMount } from '../../src/fuse/mount-table.ts'
import {
  dropPages,
  MountServer,
  shell,
  startMount,
  temporaryMountpoint,
  whyNoMounts,
} from '../support/temp-mount.ts'

const skip = whyNoMounts()
const source = 'abfs://container/some dir'

t.test('a mount shows its source and type, and serves files', { skip }, async (t) => {
  const { mountpoint } = await startMount(t, { source })

  t.match(await findMount(mountpoint), { type: 'fuse.abfs', source })
  t.equal(await shell(`cat ${mountpoint}/hello`), 'hello, world\n')
  t.match(await shell(`ls ${mountpoint}`), /hello\n/)
})

t.test('files and directories are made, moved and removed', { skip }, async (t) => {
  const { mountpoint } = await startMount(t)

  const output = await shell(
    `cd ${mountpoint} && mkdir d && echo one > d/a && mv d/a d/b && cat d/b && ln -s b d/l && ` +
      'readlink d/l && chmod 640 d/b && touch -d @1.5 d/b && stat -c "%a %.Y" d/b && rm -r d && ls d',
  )

  t.match(output, /^one\nb\n640 1\.50*\n.*No such file/)
})

t.test('a large file comes back as it was written', { skip }, async (t) => {
  const { mountpoint } = await startMount(t)
  const local = join(t.testdir({}), 'random')
  await shell(`head -c 20000001 /dev/urandom > ${local}`)

  await shell(`cp ${local} ${mountpoint}/copy`)
  await shell(dropPages(`${mountpoint}/copy`))

  t.equal(await shell(`cmp ${local} ${mountpoint}/copy && echo same`), 'same\n')
})

t.test('a directory of 5,000 files is listed whole', { skip }, async (t) => {
  const { mountpoint } = await startMount(t)

  const made = `cd ${mountpoint} && mkdir many && cd many && seq 5000 | xargs touch`
  await shell(made)

  t.equal(await shell(`ls ${mountpoint}/many | wc -l`), '5000\n')
  t.equal(await shell(`ls -l ${mountpoint}/many | grep -c rw`), '5000\n')
})

t.test('close reports what flush failed with', { skip }, async (t) => {
  const { mountpoint } = await startMount(t)

  const output = await shell(`cp /etc/hostname ${mountpoint}/refuses-close`)

  t.match(output, /No space left on device/)
})

t.test('a bug in an operation is an input/output error and a fault', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t)

  const output = await shell(`cat ${mountpoint}/broken`)

  t.match(output, /Input\/output error/)
  t.match(await server.said('fault'), { operation: 'fuse.read', message: 'a bug' })
})

t.test('a read-only mount refuses writing', { skip }, async (t) => {
  const { mountpoint } = await startMount(t, { readOnly: true })

  t.match(await shell(`touch ${mountpoint}/a`), /Read-only file system/)
})

t.test('the kernel reads ahead as far as was asked', { skip }, async (t) => {
  const { mountpoint } = await startMount(t, { maxReadAheadBytes: 4 * 2 ** 20 })
  const record = await findMount(mountpoint)

  const output = await shell(`cat /sys/class/bdi/${record?.device}/read_ahead_kb`)

  t.equal(output, '4096\n')
})

t.test('a user without root mounts by fusermount3', { skip }, async (t) => {
  const mountpoint = await temporaryMountpoint(t)
  await shell(`chown ${nobody}:${nobody} ${mountpoint}`)
  // Distributions leave the device open to all; here it may be root's.
  const { mode } = await stat('/dev/fuse')
  await chmod('/dev/fuse', 0o666)
  t.teardown(() => chmod('/dev/fuse', mode))
  const server = new MountServer({ source, mountpoint }, nobody)
  await server.said('mounted')

  t.match(await findMount(mountpoint), { type: 'fuse.abfs', source })
  t.equal(await shell(`cat ${mountpoint}/hello`, nobody), 'hello, world\n')
  t.match(await shell(`cat ${mountpoint}/hello`), /Permission denied/)
  server.child.kill('SIGINT')
  t.equal(await server.exit(), 0)
  t.equal(await findMount(mountpoint), undefined)
})

const nobody = 65534
