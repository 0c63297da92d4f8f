import fc from 'fast-check'
import { XMLParser } from 'fast-xml-parser'
import t from 'tap'
import { scanInTurns, scanListPage, turnBytes } from '../../src/blob/list-scanner.ts'
import type { ListPage } from '../../src/blob/store.ts'

const seed = Math.floor(Math.random() * 2 ** 31)
const withMetadata = { metadata: true }

function scan(xml: string, options = withMetadata): ListPage {
  return scanListPage(Buffer.from(xml), options)
}

function page(blobs: string, rest = '<NextMarker/>'): string {
  return `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://a/"><Blobs>${blobs}</Blobs>${rest}</EnumerationResults>`
}

t.test('a page as Azure sends it gives blobs, prefixes and the marker', async (t) => {
  const xml =
    '\ufeff<?xml version="1.0" encoding="utf-8"?>\r\n<EnumerationResults ServiceEndpoint="https://a.blob.core.windows.net/" ContainerName="c">' +
    '<Prefix>a/</Prefix><MaxResults>2</MaxResults><Delimiter>/</Delimiter><Blobs>' +
    '<BlobPrefix><Name>a/b/</Name></BlobPrefix>' +
    '<Blob><Name>a/c &amp; d</Name><Properties><Creation-Time>Tue, 01 Jan 2030 00:00:01 GMT</Creation-Time>' +
    '<Last-Modified>Tue, 01 Jan 2030 00:00:02 GMT</Last-Modified><Etag>0x8DC</Etag><Content-Length>1234</Content-Length>' +
    '<Content-Type>text/plain</Content-Type><Content-Encoding /><Content-MD5>n7LJ</Content-MD5><Cache-Control></Cache-Control>' +
    '<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><LeaseStatus>unlocked</LeaseStatus><TagCount>2</TagCount></Properties>' +
    '<Metadata><Colour>blue</Colour></Metadata><OrMetadata /></Blob></Blobs><NextMarker>2!xyz&lt;</NextMarker></EnumerationResults>'

  t.same(scan(xml), {
    continuation: '2!xyz<',
    entries: [
      { kind: 'prefix', name: 'a/b/' },
      {
        kind: 'blob',
        name: 'a/c & d',
        properties: {
          sizeBytes: 1234,
          etag: '"0x8DC"',
          lastModifiedMs: Date.UTC(2030, 0, 1, 0, 0, 2),
          createdMs: Date.UTC(2030, 0, 1, 0, 0, 1),
          contentType: 'text/plain',
          contentMd5: 'n7LJ',
          blobType: 'BlockBlob',
          accessTier: 'Hot',
          isTierChosen: true,
          tagCount: 2,
          metadata: { colour: 'blue' },
        },
      },
    ],
  })
})

t.test('of each blob it is told whether it has tags and a tier that was chosen', async (t) => {
  const row = (name: string, more: string) =>
    `<Blob><Name>${name}</Name><Properties><Etag>0x1</Etag>${more}</Properties></Blob>`
  const inferred = '<AccessTier>Hot</AccessTier><AccessTierInferred>true</AccessTierInferred>'
  const chosen = '<AccessTier>Cool</AccessTier><TagCount>3</TagCount>'
  const forms = [inferred, inferred, chosen, chosen, '', inferred]
  const { entries } = scan(page(forms.map((form, i) => row(`f${i}`, form)).join('')))

  const expected = [
    [false, undefined],
    [false, undefined],
    [true, 3],
    [true, 3],
    [undefined, undefined],
    [false, undefined],
  ]
  t.strictSame(
    entries.map(
      (each) => each.kind === 'blob' && [each.properties.isTierChosen, each.properties.tagCount],
    ),
    expected,
  )
})

t.test('an empty page has no entries and no continuation', async (t) => {
  const expected = { entries: [], continuation: undefined }

  t.same(scan(page('')), expected)
  t.same(scan(page('', '<NextMarker></NextMarker>')), expected)
  t.same(scan('<EnumerationResults><Blobs/></EnumerationResults>'), expected)
})

t.test('a name marked as encoded is percent-decoded, another is not', async (t) => {
  const { entries } = scan(
    page(
      '<Blob><Name Encoded="true">a%EF%BF%BF%20</Name></Blob><Blob><Name>a%20</Name></Blob>' +
        '<BlobPrefix><Name Encoded="true">%2525/</Name></BlobPrefix>',
    ),
  )

  t.same(
    entries.map(({ name }) => name),
    ['a\uffff ', 'a%20', '%25/'],
  )
})

t.test('elements that are unknown, nested or out of order are passed over', async (t) => {
  const { entries } = scan(
    page(
      '<Blob><Tags><TagSet><Tag><Key>Name</Key><Value>x</Value></Tag></TagSet></Tags><Unknown><Name>no</Name><Empty/></Unknown>' +
        '<Metadata/><Properties><New-One a=">" b=\'</x>\'>1</New-One><Etag>"0x1"</Etag></Properties><Name>yes</Name></Blob>',
    ),
  )

  t.match(entries, [{ name: 'yes', properties: { etag: '"0x1"', sizeBytes: 0, metadata: {} } }])
})

t.test('comments and CDATA are read as XML means them', async (t) => {
  const { entries } = scan(
    page('<!-- <Blob> --><Blob><Name>a<![CDATA[<&amp;>]]>b<!-- c -->d</Name></Blob>'),
  )

  t.same(
    entries.map(({ name }) => name),
    ['a<&amp;>bd'],
  )
})

t.test('character references of every kind are decoded', async (t) => {
  const { entries } = scan(
    page('<Blob><Name>&#65;&#x42;&quot;&apos;&lt;&gt;&amp;amp;&#x1F600;</Name></Blob>'),
  )

  t.equal(entries[0]?.name, 'AB"\'<>&amp;😀')
})

t.test('a page that ends early, or is something else, is a SyntaxError', async (t) => {
  const whole = page('<Blob><Name>a</Name><Properties><Etag>1</Etag></Properties></Blob>')
  const start = whole.indexOf('<EnumerationResults')

  for (let end = 0; end < whole.length; end++) {
    if (end > start || end < 5) t.throws(() => scan(whole.slice(0, end)), SyntaxError, `${end}`)
  }
  t.throws(() => scan('<html><body>proxy</body></html>'), SyntaxError)
  t.throws(() => scan(page('<Blob><Name>a<b/></Name></Blob>')), SyntaxError)
})

t.test('a long page is read in turns, and as it is read in one', async (t) => {
  const metadata =
    '<Metadata><a>1</a><long_key_of_a_blob>a value of some length</long_key_of_a_blob></Metadata>'
  const blobs = Array.from({ length: 5000 }, (_, index) => {
    const properties = `<Properties><Etag>0x${index}</Etag><Content-Length>${index}</Content-Length></Properties>`
    return `<Blob><Name>directory/file-${index}</Name>${properties}${metadata}</Blob>`
  })
  const bytes = Buffer.from(page(blobs.join('')))
  const whole = scanListPage(bytes, withMetadata)
  let turns = 1
  const pause = async () => {
    turns += 1
  }

  const scanned = await scanInTurns(bytes, { ...withMetadata, pause })

  t.equal(scanned.entries.length, 5000)
  t.same(scanned, whole)
  // A turn ends at the end of an entry, so it is a little longer than it is to be.
  const most = Math.ceil(bytes.length / turnBytes)
  t.ok(turns > 3 && turns >= most - 1 && turns <= most + 1, `${turns} turns for ${most}`)
})

t.test('a value that looks like the end of an entry where a turn ends is a value', async (t) => {
  const blobs = Array.from(
    { length: 4000 },
    (_, index) =>
      `<Blob><Name><![CDATA[</Blob></Blob></Blob></Blob></Blob></Blob>${index}]]></Name></Blob>`,
  )
  const bytes = Buffer.from(page(blobs.join('')))
  t.ok(bytes.length > turnBytes)

  const scanned = await scanInTurns(bytes, { ...withMetadata, pause: async () => {} })

  t.same(scanned, scanListPage(bytes, withMetadata))
  t.equal(scanned.entries.length, 4000)
})

t.test('a long page that is broken is refused', async (t) => {
  const whole = page('<Blob><Name>a</Name></Blob>'.repeat(20_000))
  for (const end of [turnBytes - 3, turnBytes + 5, whole.length - 8]) {
    const bytes = Buffer.from(whole.slice(0, end))
    await t.rejects(scanInTurns(bytes, { ...withMetadata, pause: async () => {} }), SyntaxError)
  }
})

t.test('a short page is read without a pause', async (t) => {
  const pause = () => Promise.reject(new Error('no pause'))

  const { entries } = await scanInTurns(Buffer.from(page('<Blob><Name>a</Name></Blob>')), {
    ...withMetadata,
    pause,
  })

  t.equal(entries.length, 1)
})

t.test('an etag keeps its characters, whatever they are', async (t) => {
  for (const etag of ['0x8D', '"0x8D"', 'a&amp;b', 'é', 'x'.repeat(100), '']) {
    const [entry] = scan(
      page(`<Blob><Name>a</Name><Properties><Etag>${etag}</Etag></Properties></Blob>`),
    ).entries
    const plain = etag.replace('&amp;', '&')
    t.match(entry, { properties: { etag: plain.startsWith('"') ? plain : `"${plain}"` } })
  }
})

t.test(`any page reads as an XML library reads it (seed ${seed})`, async (t) => {
  fc.assert(
    fc.property(fc.array(blobArbitrary, { maxLength: 8 }), fc.string(), (blobs, marker) => {
      const xml = page(
        blobs.map(blobXml).join(''),
        `<NextMarker>${escapeXml(printable(marker))}</NextMarker>`,
      )

      t.same(flatten(scan(xml)), byLibrary(xml))
    }),
    { seed, numRuns: 300 },
  )
})

t.test(`blobs of one form read together as each of them reads alone (seed ${seed})`, async (t) => {
  const rest = fc.record({
    md5: fc.constantFrom('', 'AAECAwQFBgc=', 'a&amp;lt;'),
    empty: fc.boolean(),
  })
  const one = fc.tuple(blobArbitrary, rest)
  fc.assert(
    fc.property(fc.array(one, { minLength: 2, maxLength: 40 }), fc.boolean(), (rows, uniform) => {
      const blobs = rows.map(([blob, { md5, empty }]) => {
        const plain = uniform ? { ...blob, isPrefix: false, extra: false, metadata: [] } : blob
        const xml = blobXml(plain).replace(
          '</Content-Type>',
          `</Content-Type><Content-MD5>${md5}</Content-MD5>`,
        )
        return empty && uniform ? xml.replace(/<Content-Type>[^<]*</, '<Content-Type><') : xml
      })
      const alone = blobs.flatMap((blob) => scan(page(blob)).entries)

      t.strictSame(scan(page(blobs.join(''))).entries, alone)
    }),
    { seed, numRuns: 200 },
  )
})

interface RandomBlob {
  readonly name: string
  readonly isPrefix: boolean
  readonly sizeBytes: number
  readonly etag: string
  readonly seconds: number
  readonly contentType: string
  readonly metadata: readonly (readonly [string, string])[]
  readonly extra: boolean
}

const textArbitrary = fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }).map(printable)

const blobArbitrary: fc.Arbitrary<RandomBlob> = fc.record({
  name: textArbitrary,
  isPrefix: fc.boolean(),
  sizeBytes: fc.nat(),
  etag: fc.stringMatching(/^0x[0-9A-F]{1,16}$/),
  seconds: fc.nat(2 ** 31),
  contentType: textArbitrary,
  metadata: fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z_][a-z0-9_]{0,8}$/), textArbitrary), {
    selector: ([key]) => key,
    maxLength: 3,
  }),
  extra: fc.boolean(),
})

/** Without what XML 1.0 cannot hold, and without the spaces and CRs that the library trims. */
function printable(text: string): string {
  return `x${text.replace(/[^\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '').replace(/[\s\u0080-\u00a0\ufeff]/g, '_')}x`
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function blobXml(blob: RandomBlob): string {
  const name = `<Name>${escapeXml(blob.name)}</Name>`
  if (blob.isPrefix) return `<BlobPrefix>${name}</BlobPrefix>`
  const metadata = blob.metadata.map(([key, value]) => `<${key}>${escapeXml(value)}</${key}>`)
  return (
    `<Blob>${name}${blob.extra ? '<Deleted>false</Deleted>' : ''}<Properties>` +
    `<Last-Modified>${new Date(blob.seconds * 1000).toUTCString()}</Last-Modified>` +
    `<Etag>${blob.etag}</Etag><Content-Length>${blob.sizeBytes}</Content-Length>` +
    `${blob.extra ? '<Content-Language /><Nested><Etag>no</Etag></Nested>' : ''}` +
    `<Content-Type>${escapeXml(blob.contentType)}</Content-Type></Properties>` +
    `${metadata.length === 0 ? '<Metadata />' : `<Metadata>${metadata.join('')}</Metadata>`}</Blob>`
  )
}

function flatten({ entries, continuation }: ListPage): object {
  const rows = entries.map((entry) => {
    if (entry.kind === 'prefix') return { name: entry.name }
    const { etag, sizeBytes, lastModifiedMs, contentType, metadata } = entry.properties
    return {
      name: entry.name,
      etag,
      sizeBytes,
      lastModifiedMs,
      contentType,
      metadata: sorted(metadata),
    }
  })
  return { rows, continuation }
}

function sorted(metadata: Readonly<Record<string, string>> = {}): unknown {
  return Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1))
}

/** The same page by way of fast-xml-parser, in document order. */
function byLibrary(xml: string): object {
  const parser = new XMLParser({ preserveOrder: true, parseTagValue: false, trimValues: false })
  const [root] = (parser.parse(xml) as Node[]).filter((node) => 'EnumerationResults' in node)
  const children = root?.['EnumerationResults'] ?? []
  const rows = childrenOf(children, 'Blobs').map((node) => {
    const isPrefix = 'BlobPrefix' in node
    const fields = node[isPrefix ? 'BlobPrefix' : 'Blob'] ?? []
    const name = textOf(fields, 'Name')
    if (isPrefix) return { name }
    const properties = childrenOf(fields, 'Properties')
    const metadata: Record<string, string> = {}
    for (const entry of childrenOf(fields, 'Metadata')) {
      const [key = ''] = Object.keys(entry)
      metadata[key] = textOf([entry], key)
    }
    return {
      name,
      etag: `"${textOf(properties, 'Etag')}"`,
      sizeBytes: Number(textOf(properties, 'Content-Length')),
      lastModifiedMs: Date.parse(textOf(properties, 'Last-Modified')),
      contentType: textOf(properties, 'Content-Type'),
      metadata: sorted(metadata),
    }
  })
  return { rows, continuation: textOf(children, 'NextMarker') }
}

type Node = { readonly [tag: string]: Node[] } & { readonly '#text'?: string }

function childrenOf(nodes: readonly Node[], tag: string): Node[] {
  return nodes.find((node) => tag in node)?.[tag] ?? []
}

function textOf(nodes: readonly Node[], tag: string): string {
  return childrenOf(nodes, tag)
    .map((node) => String(node['#text'] ?? ''))
    .join('')
}
