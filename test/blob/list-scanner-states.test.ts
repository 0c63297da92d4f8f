import fc from 'fast-check'
import t from 'tap'
import { scanListPage } from '../../src/blob/list-scanner.ts'
import type { ListEntry } from '../../src/blob/store.ts'

const seed = Math.floor(Math.random() * 2 ** 31)

function page(blobs: string): Buffer {
  return Buffer.from(
    `<EnumerationResults><Blobs>${blobs}</Blobs><NextMarker/></EnumerationResults>`,
  )
}

interface RandomRow {
  readonly name: string
  readonly versionId: string | undefined
  readonly snapshot: string | undefined
  readonly current: boolean
  readonly deletedSeconds: number | undefined
  readonly daysLeft: number
  readonly tags: readonly (readonly [string, string])[]
  readonly tagsFirst: boolean
}

const word = fc.stringMatching(/^[a-z &<>ü]{0,8}[a-z]$/)

const rowArbitrary: fc.Arbitrary<RandomRow> = fc.record({
  name: word,
  versionId: fc.option(fc.stringMatching(/^20\d\d-0\d-1\dT00:00:0\d\.\d{7}Z$/), { nil: undefined }),
  snapshot: fc.option(fc.stringMatching(/^20\d\d-0\d-1\dT00:00:0\d\.\d{7}Z$/), { nil: undefined }),
  current: fc.boolean(),
  deletedSeconds: fc.option(fc.nat(2 ** 31), { nil: undefined }),
  daysLeft: fc.nat(365),
  tags: fc.uniqueArray(fc.tuple(word, word), { selector: ([key]) => key, maxLength: 3 }),
  tagsFirst: fc.boolean(),
})

function xmlOf(row: RandomRow): string {
  const { versionId, snapshot, deletedSeconds } = row
  const isDeleted = deletedSeconds !== undefined
  const tags = row.tags.map(
    ([key, value]) => `<Tag><Key>${escapeXml(key)}</Key><Value>${escapeXml(value)}</Value></Tag>`,
  )
  const tagSet = tags.length === 0 ? '' : `<Tags><TagSet>${tags.join('')}</TagSet></Tags>`
  return [
    `<Blob><Name>${escapeXml(row.name)}</Name>`,
    row.tagsFirst ? tagSet : '',
    versionId === undefined ? '' : `<VersionId>${versionId}</VersionId>`,
    row.current ? '<IsCurrentVersion>true</IsCurrentVersion>' : '',
    snapshot === undefined ? '<Snapshot/>' : `<Snapshot>${snapshot}</Snapshot>`,
    isDeleted ? '<Deleted>true</Deleted>' : '',
    '<Properties><Content-Length>1</Content-Length><Etag>0x1</Etag>',
    isDeleted ? `<DeletedTime>${new Date(deletedSeconds * 1000).toUTCString()}</DeletedTime>` : '',
    isDeleted ? `<RemainingRetentionDays>${row.daysLeft}</RemainingRetentionDays>` : '',
    '</Properties><Metadata />',
    row.tagsFirst ? '' : tagSet,
    '<OrMetadata /></Blob>',
  ].join('')
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function expected(row: RandomRow): object {
  const { name, versionId, snapshot, deletedSeconds } = row
  const isDeleted = deletedSeconds !== undefined
  const isLatest = versionId === undefined || row.current
  return {
    name,
    tags: Object.fromEntries(row.tags),
    state: {
      versionId,
      snapshot,
      isDeleted,
      isCurrent: !isDeleted && snapshot === undefined && isLatest,
      deletedMs: isDeleted ? deletedSeconds * 1000 : undefined,
      daysLeft: isDeleted ? row.daysLeft : undefined,
    },
  }
}

function told(entry: ListEntry): object {
  if (entry.kind === 'prefix') throw new Error('no prefix was sent')
  return { name: entry.name, tags: entry.tags, state: entry.state }
}

t.test(`states and tags are read as they were written (seed ${seed})`, async (t) => {
  const options = { versions: true, snapshots: true, deleted: true, tags: true }
  fc.assert(
    fc.property(fc.array(rowArbitrary, { maxLength: 30 }), (rows) => {
      const { entries } = scanListPage(page(rows.map(xmlOf).join('')), options)

      t.strictSame(entries.map(told), rows.map(expected))
    }),
    { seed, numRuns: 300 },
  )
})

t.test(`a listing that asks for no states tells none (seed ${seed})`, async (t) => {
  fc.assert(
    fc.property(fc.array(rowArbitrary, { minLength: 1, maxLength: 30 }), (rows) => {
      const { entries } = scanListPage(page(rows.map(xmlOf).join('')), {})

      for (const entry of entries) t.notOk('state' in entry || 'tags' in entry)
    }),
    { seed, numRuns: 50 },
  )
})

t.test('without versions asked for, what is there is current', async (t) => {
  const xml = page('<Blob><Name>a</Name><VersionId>v</VersionId></Blob>')

  t.match(scanListPage(xml, { deleted: true }).entries, [{ state: { isCurrent: true } }])
  t.match(scanListPage(xml, { versions: true }).entries, [{ state: { isCurrent: false } }])
})

t.test('tags of another form than the service sends are passed over', async (t) => {
  const odd =
    '<Tags><New>1</New><TagSet><Other/><Tag/><Tag><New/><Key>k</Key></Tag></TagSet></Tags>'
  const [entry] = scanListPage(page(`<Blob><Name>a</Name>${odd}</Blob>`), { tags: true }).entries

  t.match(entry, { tags: { k: '' } })
  t.throws(
    () =>
      scanListPage(Buffer.from('<EnumerationResults><Blobs><Blob><Tags><TagSet>'), { tags: true }),
    SyntaxError,
  )
})
