import { gunzipSync, gzipSync } from 'node:zlib'
import t from 'tap'
import { memoryFileSystem } from '../support/file-system.ts'

const text = 'äöü €\n'.repeat(50_000)

t.test('a compressed file is written and read as if it were not', async (t) => {
  const { fs } = await memoryFileSystem()

  const writer = await fs.open('box/f.gz', 'w', { compression: 'infer' })
  for (let at = 0; at < text.length; at += 9999) await writer.write(text.slice(at, at + 9999))
  t.equal(await fs.exists('box/f.gz'), false, 'nothing shows before the end')
  const info = await writer.close()
  t.equal(await writer.close(), info)

  const stored = await fs.catFile('box/f.gz')
  t.equal(info.size, stored.byteLength)
  t.ok(stored.byteLength < text.length / 10)
  t.equal(gunzipSync(stored).toString(), text)
  await using reader = await fs.open('box/f.gz', 'r', { compression: 'gzip' })
  t.strictSame(Buffer.from(await reader.read(3)), Buffer.from(text).subarray(0, 3))
  t.equal(Buffer.byteLength(text) - 3, (await reader.readAll()).byteLength)
  t.equal((await reader.read(10)).byteLength, 0)
})

t.test('lines cross pieces, and several members are one text', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipeFile('box/l.gz', Buffer.concat([gzipSync('one\r\ntw'), gzipSync('o\nüü')]))
  await using reader = await fs.open('box/l.gz', 'r', { compression: 'infer' })
  const lines = []

  for await (const line of reader.lines()) lines.push(line)

  t.strictSame(lines, ['one', 'two', 'üü'])
})

t.test('appending to a compressed file adds a member', async (t) => {
  const { fs } = await memoryFileSystem()
  for (const word of ['first ', 'second']) {
    const writer = await fs.open('box/a.gz', 'a', { compression: 'infer' })
    await writer.write(word)
    await writer.close()
  }
  await using reader = await fs.open('box/a.gz', 'r', { compression: 'infer' })

  t.equal(await reader.readText(), 'first second')
})

for (const encoding of ['utf8', 'utf16le', 'latin1'] as const) {
  t.test(`text in ${encoding} comes back`, async (t) => {
    const { fs } = await memoryFileSystem()
    const writer = await fs.open('box/t', 'x', { encoding })
    await writer.write('äöü\n')
    await writer.write('ß')
    await writer.close()

    t.strictSame(Buffer.from(await fs.catFile('box/t')), Buffer.from('äöü\nß', encoding))
    await using reader = await fs.open('box/t', 'r', { encoding })
    const lines = []
    for await (const line of reader.lines()) lines.push(line)
    t.strictSame(lines, ['äöü', 'ß'])
  })
}

t.test('what the encoding lacks is refused, not changed', async (t) => {
  const { fs } = await memoryFileSystem()
  await using writer = await fs.open('box/t', 'w', { encoding: 'latin1' })

  await t.rejects(writer.write('€'), RangeError)
})

t.test('damaged and cut files are EBADMSG, and missing ones ENOENT', async (t) => {
  const { fs } = await memoryFileSystem()
  const whole = gzipSync(Buffer.from(text))
  await fs.pipeFile('box/cut.gz', whole.subarray(0, whole.byteLength - 9))
  await fs.writeText('box/plain.gz', 'not compressed')
  for (const path of ['box/cut.gz', 'box/plain.gz']) {
    await using reader = await fs.open(path, 'r', { compression: 'infer' })
    await t.rejects(reader.readAll(), { code: 'EBADMSG', path: `abfs://${path}` })
  }
  await t.rejects(fs.open('box/none.gz', 'r', { compression: 'infer' }), { code: 'ENOENT' })
})

t.test('a writer that is aborted or left leaves the file as it was', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f.gz', 'before')
  {
    await using writer = await fs.open('box/f.gz', 'w', { compression: 'gzip' })
    await writer.write(text)
  }
  const aborted = await fs.open('box/f.gz', 'w', { compression: 'gzip' })
  await aborted.write('some')
  await aborted.abort()

  await t.rejects(aborted.write('more'))
  t.equal(await fs.readText('box/f.gz'), 'before')
})

t.test('a reader that is left early lets go of the file', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.pipeFile('box/f.gz', gzipSync(Buffer.from(text)))
  const reader = await fs.open('box/f.gz', 'r', { compression: 'infer' })
  t.equal((await reader.read(100)).byteLength, 100)

  await reader.close()

  await t.rejects(reader.read(1), { code: 'EBADF' })
})

t.test('words that nobody knows and compressions that cannot be read are refused', async (t) => {
  const { fs } = await memoryFileSystem()
  await fs.writeText('box/f.zst', 'x')

  await t.rejects(fs.open('box/f.zst', 'r', { compression: 'infer' }), { code: 'ENOTSUP' })
  await using plain = await fs.open('box/f.zst', 'r', { compression: 'none' })
  t.equal(await plain.readText(), 'x')
  // @ts-expect-error: no such encoding
  await t.rejects(fs.open('box/f.zst', 'r', { encoding: 'ebcdic' }), TypeError)
  // @ts-expect-error: edits have neither
  await t.rejects(fs.open('box/f.zst', 'r+', { compression: 'gzip' }), TypeError)
})
