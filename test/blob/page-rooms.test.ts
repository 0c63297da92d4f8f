import t from 'tap'
import { AzureBlobStore } from '../../src/blob/azure-store.ts'
import { PageRooms } from '../../src/blob/page-rooms.ts'
import { KiB } from '../../src/byte-range.ts'
import type { HttpHandler, HttpRequest } from '../../src/http/handler.ts'

t.test('a page is read where one before it was, when that had been enough', async (t) => {
  const rooms = new PageRooms()
  t.equal(rooms.take(), undefined)

  const page = new Uint8Array(512 * KiB)
  rooms.give(page.subarray(0, 300 * KiB))
  t.equal(rooms.take()?.buffer, page.buffer, 'with all that it has')
  t.equal(rooms.take(), undefined, 'to one page at a time')

  rooms.give(new Uint8Array(KiB))
  t.equal(rooms.take(), undefined, 'what is small is had anew')
})

t.test('no more is kept than pages are under way', async (t) => {
  const rooms = new PageRooms()
  for (let i = 0; i < 20; i++) rooms.give(new Uint8Array(256 * KiB))

  let kept = 0
  while (rooms.take() !== undefined) kept++
  t.ok(kept > 0 && kept <= 4, `${kept} kept`)
})

t.test('entries keep nothing of a page whose memory is used again', async (t) => {
  const asked: HttpRequest[] = []
  const http: HttpHandler = async (request) => {
    asked.push(request)
    const letter = asked.length === 1 ? 'a' : 'b'
    const blobs = Array.from(
      { length: 5000 },
      (_, index) =>
        `<Blob><Name>${letter}${index}</Name><Properties><Etag>0x${letter}</Etag><Content-Type>${letter}/${letter}</Content-Type></Properties><Metadata><k>${letter}</k></Metadata></Blob>`,
    )
    const text = `<EnumerationResults><Blobs>${blobs.join('')}</Blobs><NextMarker/></EnumerationResults>`
    const body = Buffer.from(request.room?.buffer ?? Buffer.allocUnsafeSlow(text.length).buffer)
    body.write(text)
    return { status: 200, headers: {}, body: body.subarray(0, text.length) }
  }
  const endpoint = new URL('https://a.blob.core.windows.net')
  const store = new AzureBlobStore({ account: 'a', endpoint, http })

  const first = await store.listPage({ container: 'data', name: '' })
  const before = JSON.stringify(first)
  const second = await store.listPage({ container: 'data', name: '' })

  t.equal(asked[0]?.room, undefined)
  t.not(asked[1]?.room, undefined)
  t.equal(JSON.stringify(first), before)
  t.match(first.entries[4999], { name: 'a4999', properties: { etag: '"0xa"', contentType: 'a/a' } })
  t.match(second.entries[4999], { name: 'b4999', properties: { metadata: { k: 'b' } } })
})
