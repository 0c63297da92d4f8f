import { inspect } from 'node:util'
import t from 'tap'
import { changedInfo, toFileInfo } from '../../src/filesystem/file-info.ts'
import { entryFromBlob } from '../../src/namespace/blob-entry.ts'

const properties = {
  sizeBytes: 3,
  etag: '"0x1"',
  lastModifiedMs: Date.UTC(2030, 0, 1),
  createdMs: Date.UTC(2029, 0, 1),
  contentType: 'text/plain',
  metadata: { hdi_permission: '0640' },
}

t.test('what is derived when asked shows in JSON and when inspected', async (t) => {
  const info = toFileInfo('box', entryFromBlob('a/b', properties))

  t.strictSame(info.lastModified, new Date(properties.lastModifiedMs))
  t.match(JSON.parse(JSON.stringify(info)), {
    name: 'box/a/b',
    type: 'file',
    size: 3,
    isLink: false,
    lastModified: '2030-01-01T00:00:00.000Z',
    created: '2029-01-01T00:00:00.000Z',
  })
  t.match(inspect(info), /lastModified: 2030-01-01/)
})

t.test('a changed one keeps everything else', async (t) => {
  const info = toFileInfo('box', entryFromBlob('a/b', properties))

  const changed = changedInfo(info, { name: 'b' })

  t.match(changed, { name: 'b', type: 'file', size: 3, etag: '"0x1"' })
  t.strictSame(changed.lastModified, info.lastModified)
  t.strictSame(changedInfo(changed, { type: 'other' }).created, info.created)
})
