import t from 'tap'
import { hintFor } from '../../src/cli/hints.ts'
import { FileSystemError } from '../../src/errors.ts'

t.test('who has no identity of its own is told what to set, not to ask a connector', async (t) => {
  const cause = new FileSystemError('EACCES', 'credential.token')
  t.match(hintFor(new FileSystemError('EACCES', 'blob.list', { cause })), /set ABFS_CONNECTOR_URL/)
  t.match(hintFor(new FileSystemError('EACCES', 'blob.list')), /which caller you are/)
})

t.test('an authority that is not known is named by a flag', async (t) => {
  const hintOf = (code: string) => {
    const cause = Object.assign(new Error(code), { code })
    return hintFor(new FileSystemError('EIO', 'blob.list', { cause }))
  }
  t.match(hintOf('SELF_SIGNED_CERT_IN_CHAIN'), /--ca-file/)
  t.match(hintOf('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), /--ca-file/)
  t.equal(hintOf('CERT_HAS_EXPIRED'), undefined)
})
