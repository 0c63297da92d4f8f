import t from 'tap'
import { parentPath, splitPath, stripProtocol, unstripProtocol } from '../src/path-spelling.ts'

const host = 'acct.dfs.core.windows.net'

t.test('every spelling of a path is stripped to the same name', async (t) => {
  for (const path of [
    'box/a/b',
    '/box/a/b/',
    'abfs://box/a/b',
    'abfss://box/a/b//',
    `abfs://box@${host}/a/b`,
    `https://${host}/box/a/b`,
    new URL('az://box/a/b'),
    'http://127.0.0.1:10000/acct/box/a/b',
  ]) {
    t.equal(stripProtocol(path), 'box/a/b', String(path))
  }
  t.equal(stripProtocol('abfs://box/'), 'box')
  t.equal(stripProtocol('abfs://'), '')
  t.equal(stripProtocol('/'), '')
})

t.test('names in strings are literal and names in URLs decoded', async (t) => {
  t.equal(stripProtocol('abfs://box/a%20b?c#d'), 'box/a%20b?c#d')
  t.equal(stripProtocol(`https://${host}/box/a%20b`), 'box/a b')
})

t.test('a name gets its scheme back, and keeps one that it has', async (t) => {
  t.equal(unstripProtocol('box/a b'), 'abfs://box/a b')
  t.equal(unstripProtocol('box'), 'abfs://box')
  t.equal(unstripProtocol('az://box/a'), 'az://box/a')
  t.equal(stripProtocol(unstripProtocol('box/a?b')), 'box/a?b')
  t.throws(() => unstripProtocol('s3://box/a'), TypeError)
})

t.test('the parent of a path ends at the root', async (t) => {
  t.equal(parentPath('abfs://box/a/b/'), 'box/a')
  t.equal(parentPath('box/a'), 'box')
  t.equal(parentPath('box'), '')
  t.equal(parentPath(''), '')
  t.equal(parentPath('box/a//b'), 'box/a')
})

t.test('a path is taken apart, its version included', async (t) => {
  const url = `https://${host}/box/a/b?versionid=2024-01-01T00:00:00.0000000Z`
  const versionId = '2024-01-01T00:00:00.0000000Z'
  t.strictSame(splitPath(url), { container: 'box', name: 'a/b', versionId })
  t.strictSame(splitPath('box'), { container: 'box', name: '', versionId: undefined })
})

t.test('a signature is refused, and not repeated', async (t) => {
  for (const call of [stripProtocol, parentPath, splitPath, unstripProtocol]) {
    let message = ''
    try {
      call('abfs://box/a?sv=1&sig=hunter2')
    } catch (error) {
      message = error instanceof TypeError ? error.message : ''
    }
    t.match(message, 'carries a SAS')
    t.notMatch(message, 'hunter2')
  }
})
