import fc from 'fast-check'
import { XMLParser } from 'fast-xml-parser'
import t from 'tap'
import { scanContainerPage } from '../../src/blob/container-scanner.ts'

const seed = Math.floor(Math.random() * 2 ** 31)

function page(containers: string, rest = '<NextMarker />'): Buffer {
  return Buffer.from(
    `\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="https://a/"><Prefix>p</Prefix><MaxResults>5</MaxResults>${containers}${rest}</EnumerationResults>`,
  )
}

t.test('a page as Azure sends it gives names, etags, times and metadata', async (t) => {
  const xml = page(
    '<Containers><Container><Name>data</Name><Properties><Last-Modified>Tue, 01 Jan 2030 00:00:02 GMT</Last-Modified>' +
      '<Etag>"0x8DC"</Etag><LeaseStatus>unlocked</LeaseStatus><HasLegalHold>false</HasLegalHold></Properties>' +
      '<Metadata><Colour>blue &amp; green</Colour><Empty /></Metadata></Container>' +
      '<Container><Name>$web</Name><Properties><Last-Modified>Tue, 01 Jan 2030 00:00:03 GMT</Last-Modified><Etag>0x8DD</Etag></Properties><Metadata/></Container></Containers>',
    '<NextMarker>/a/next</NextMarker>',
  )

  t.same(scanContainerPage(xml), {
    continuation: '/a/next',
    containers: [
      {
        name: 'data',
        etag: '"0x8DC"',
        lastModifiedMs: Date.UTC(2030, 0, 1, 0, 0, 2),
        metadata: { colour: 'blue & green', empty: '' },
      },
      {
        name: '$web',
        etag: '"0x8DD"',
        lastModifiedMs: Date.UTC(2030, 0, 1, 0, 0, 3),
        metadata: {},
      },
    ],
  })
})

t.test('an account without containers has none', async (t) => {
  for (const none of ['<Containers />', '<Containers></Containers>', '']) {
    t.same(scanContainerPage(page(none)), { continuation: undefined, containers: [] })
  }
})

t.test('a page that ends early is refused, wherever that is', async (t) => {
  const whole = page('<Containers><Container><Name>data</Name></Container></Containers>')
  const last = whole.lastIndexOf('</EnumerationResults')

  for (let end = 0; end <= last; end++) {
    t.throws(() => scanContainerPage(whole.subarray(0, end)), SyntaxError, `cut at ${end}`)
  }
})

t.test('names and metadata are those that another parser reads', async (t) => {
  t.comment(`seed ${seed}`)
  const text = fc.string({ unit: fc.constantFrom(...'ab <>&"\'é🚀'), minLength: 1, maxLength: 12 })
  const escaped = (value: string) =>
    value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  const parser = new XMLParser({ trimValues: false, parseTagValue: false })
  const containers = fc.array(fc.record({ name: text, value: text }), {
    minLength: 2,
    maxLength: 5,
  })

  fc.assert(
    fc.property(containers, (rows) => {
      const elements = rows.map(
        ({ name, value }) =>
          `<Container><Name>${escaped(name)}</Name><Unknown><Deep>1</Deep></Unknown><Metadata><key>${escaped(value)}</key></Metadata></Container>`,
      )
      const xml = page(`<Containers>${elements.join('')}</Containers>`)
      const read = scanContainerPage(xml).containers
      const expected = parser.parse(xml.toString()).EnumerationResults.Containers.Container
      const pairs = expected.map((row: { Name: string; Metadata: { key: string } }) => [
        row.Name,
        row.Metadata.key,
      ])
      t.same(
        read.map(({ name, metadata }) => [name, metadata?.['key']]),
        pairs,
      )
    }),
    { seed, numRuns: 100 },
  )
})
