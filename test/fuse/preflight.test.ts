import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readMountTable } from '../../src/fuse/mount-table.ts'
import type { ServerOptions } from '../support/mount-server.ts'
import {
  MountServer,
  shell,
  startMount,
  temporaryMountpoint,
  whyNoMounts,
} from '../support/temp-mount.ts'

const skip = whyNoMounts()
const source = 'abfs://container/some dir'

async function failure(options: ServerOptions): Promise<unknown> {
  const server = new MountServer(options)
  return server.said('failed')
}

t.test('a mount point that cannot be used is refused with what to do', { skip }, async (t) => {
  const directory = await temporaryMountpoint(t)
  await writeFile(join(directory, 'file'), '')
  await mkdir(join(directory, 'full'))
  await writeFile(join(directory, 'full', 'notes.txt'), '')
  const at = (name: string): ServerOptions => ({ source, mountpoint: join(directory, name) })

  t.match(await failure(at('none')), { code: 'ENOENT', message: /mkdir -p/ })
  t.match(await failure(at('file')), { code: 'ENOTDIR', message: /not a directory/ })
  t.match(await failure(at('full')), { code: 'ENOTEMPTY', message: /notes\.txt/ })
})

t.test('a directory with files is mounted over when that is asked for', { skip }, async (t) => {
  const mountpoint = await temporaryMountpoint(t)
  await writeFile(join(mountpoint, 'notes.txt'), '')

  await startMount(t, { mountpoint, nonEmpty: true })

  t.match(await shell(`ls ${mountpoint}`), /^(?!.*notes).*hello/s)
})

t.test('a second mount on one place is EBUSY and names the first', { skip }, async (t) => {
  const { mountpoint } = await startMount(t, { source })

  t.match(await failure({ source, mountpoint }), {
    code: 'EBUSY',
    message: /abfs:\/\/container\/some dir is already mounted there: .*abfs unmount/,
  })
})

t.test('a mount of others is EBUSY and named', { skip }, async (t) => {
  const mountpoint = await temporaryMountpoint(t)
  await shell(`mount -t tmpfs theirs ${mountpoint}`)

  t.match(await failure({ source, mountpoint }), { code: 'EBUSY', message: /tmpfs 'theirs'/ })
})

t.test('a drive left dead by a crash is detached and mounted anew', { skip }, async (t) => {
  const { server, mountpoint } = await startMount(t)
  server.child.kill('SIGKILL')
  await server.exit()
  const dead = await shell(`ls ${mountpoint}`)

  const second = await startMount(t, { mountpoint })

  t.match(dead, /Transport endpoint is not connected/)
  t.match(await second.server.said('mounted'), { detachedDead: true })
  t.equal(await shell(`cat ${mountpoint}/hello`), 'hello, world\n')
  const records = await readMountTable()
  t.equal(records.filter((record) => record.mountpoint === mountpoint).length, 1)
})
