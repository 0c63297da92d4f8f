import t from 'tap'
import { scanListPage } from '../../src/blob/list-scanner.ts'
import { scanDirectories } from '../../src/blob/scan-directories.ts'

function blob(name: string, more = ''): string {
  const times = '<Last-Modified>Mon, 30 Nov 2026 01:00:00 GMT</Last-Modified><Etag>0x1</Etag>'
  return `<Blob><Name>${name}</Name><Properties>${times}<Content-Length>1</Content-Length></Properties>${more}</Blob>`
}

function pageOf(blobs: string, marker = '<NextMarker />'): Buffer {
  const head =
    '\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="data">'
  return Buffer.from(`${head}<Blobs>${blobs}</Blobs>${marker}</EnumerationResults>`)
}

function namesIn(page: Buffer): string[] | undefined {
  return scanDirectories(page)?.entries.map(({ name }) => name)
}

t.test('each directory of a page is told where it begins', async (t) => {
  const names = ['a', 'b/1', 'b/2', 'b/c/3', 'b/d/', 'b/é/4', 'b/&amp;x/5', 'b/😀/6', 'b//7', 'z']
  const page = pageOf(names.map((name) => blob(name)).join(''))

  const told = namesIn(page)

  t.same(told, ['b/', 'b/c/', 'b/d/', 'b/é/', 'b/&x/', 'b/😀/', 'b//'])
  const listed = scanListPage(page, {}).entries.map(({ name }) => name)
  const parents = listed.map((name) => name.slice(0, name.lastIndexOf('/') + 1))
  t.same(told, [...new Set(parents)].filter(Boolean), 'as who reads all of it finds')
})

t.test('a page says where the next begins', async (t) => {
  for (const marker of [
    '<NextMarker>a/b &amp; é</NextMarker>',
    '<NextMarker/>',
    '<NextMarker />',
  ]) {
    const page = pageOf(blob('a/1'), marker)
    t.equal(scanDirectories(page)?.continuation, scanListPage(page, {}).continuation)
  }
})

t.test('a page that has more to it is left to who reads all of it', async (t) => {
  const odd = {
    'a marked directory': blob('d', '<Metadata><hdi_IsFolder>true</hdi_IsFolder></Metadata>'),
    'one that another program marked': blob(
      'd',
      '<Metadata><Is_Directory>1</Is_Directory></Metadata>',
    ),
    'a percent-encoded name': '<Blob><Name Encoded="true">a%2Fb</Name></Blob>',
    'a name that is not first': '<Blob><Deleted>false</Deleted><Name>a/b</Name></Blob>',
    'hidden metadata': blob('a/b', '<CustomerProvidedKeySha256>x</CustomerProvidedKeySha256>'),
    'a comment': `${blob('a/b')}<!-- <Blob><Name>c/d</Name></Blob> -->`,
  }
  for (const [what, row] of Object.entries(odd)) {
    t.equal(scanDirectories(pageOf(row)), undefined, what)
  }
  const whole = pageOf(blob('a/b'))
  for (const length of [0, 100, whole.length - 1]) {
    t.equal(scanDirectories(whole.subarray(0, length)), undefined, `cut off after ${length} bytes`)
  }
})
