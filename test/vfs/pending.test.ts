import t from 'tap'
import { FileSystemError } from '../../src/errors.ts'
import { caller, VfsMount } from '../support/vfs-mount.ts'

const away = new FileSystemError('EIO', 'blob.put', { retryable: true })
const path = 'abfs://box/f'

t.test('what fsync could not store is told as unsaved until it is stored', async (t) => {
  const mount = await VfsMount.make(t)
  let isAway = true
  mount.before('put', () => (isAway ? Promise.reject(away) : undefined))
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'text')
  t.strictSame(mount.vfs.unsaved, [], 'nobody tried')
  await t.rejects(mount.vfs.fsync(handle, false, caller), { code: 'EIO' })
  t.match(mount.vfs.unsaved, [{ path, error: away, isPending: true, place: undefined }])

  isAway = false
  await mount.close(handle)
  t.strictSame(mount.vfs.unsaved, [])
})

t.test('what close could not store is told once, and where it is kept', async (t) => {
  const mount = await VfsMount.make(t)
  mount.before('put', () => Promise.reject(away))
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'text')
  await t.rejects(mount.close(handle), { code: 'EIO' })

  const [unsaved, ...others] = mount.vfs.unsaved
  t.match(unsaved, { path, error: away, isPending: undefined })
  t.type(unsaved?.place, 'string')
  t.strictSame(others, [])
})

t.test('a close that its program does not wait for is unsaved until it has ended', async (t) => {
  const mount = await VfsMount.make(t)
  let open = (): void => undefined
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  mount.before('put', () => gate)
  const handle = await mount.create('f')
  await mount.write(handle, 0, 'text')
  const program = new AbortController()
  const closing = mount.vfs.flush(handle, { ...caller, signal: program.signal })
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(mount.vfs.unsaved, [], 'it is waited for')
  program.abort()
  t.match(mount.vfs.unsaved, [{ path, error: { code: 'ETIMEDOUT' }, isPending: true }])

  open()
  await closing
  t.strictSame(mount.vfs.unsaved, [])
  await mount.vfs.release(handle, caller)
})
