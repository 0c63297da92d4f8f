import t from 'tap'
import { checkPath, isPathName } from '../../src/namespace/blob-name.ts'

const check =
  (name: string, container = 'data') =>
  () =>
    checkPath({ container, name }, 'open')

t.test('names that Azure keeps as they are pass', async (t) => {
  for (const name of ['', 'a', 'a/b c/d%20#+', 'ü/日本/😀', 'end.', '.hidden', 'a/...']) {
    t.doesNotThrow(check(name), name)
  }
  for (const container of ['', 'abc', 'a-b-1', '$web']) t.doesNotThrow(check('', container))
})

t.test('empty, dot and dot-dot segments are EINVAL, and the message says which', async (t) => {
  for (const name of ['/a', 'a/', 'a//b']) {
    t.throws(check(name), { code: 'EINVAL', message: /empty segment/ }, name)
  }
  for (const name of ['.', 'a/./b', '../a', 'a/..']) {
    t.throws(check(name), { code: 'EINVAL', message: /'\.' or '\.\.'/ }, name)
  }
})

t.test('control characters and broken Unicode are EINVAL', async (t) => {
  for (const name of ['a\nb', '\u0000', 'a\u007f', 'a\uffff']) {
    t.throws(check(name), { code: 'EINVAL', message: /control character/ })
  }
  t.throws(check('a\ud800b'), { code: 'EINVAL', message: /Unicode/ })
})

t.test('a backslash is EINVAL, for the service makes a slash of it', async (t) => {
  for (const name of ['a\\b', '\\a', 'dir/a\\']) {
    t.throws(check(name), { code: 'EINVAL', message: /backslash.*write '\/'/ }, name)
  }
})

t.test('what is too long is ENAMETOOLONG: 1,024 characters, 254 segments, 255 bytes', async (t) => {
  const long = `${'x'.repeat(200)}/`
  t.doesNotThrow(check(long.repeat(5) + 'y'.repeat(19)))
  t.throws(check(long.repeat(5) + 'y'.repeat(20)), { code: 'ENAMETOOLONG', message: /1025/ })
  t.doesNotThrow(check(Array(254).fill('a').join('/')))
  t.throws(check(Array(255).fill('a').join('/')), { code: 'ENAMETOOLONG', message: /255 segments/ })
  t.doesNotThrow(check('é'.repeat(127)))
  t.throws(check('é'.repeat(128)), { code: 'ENAMETOOLONG', message: /255 bytes/ })
})

t.test('container names that Azure refuses are EINVAL', async (t) => {
  for (const container of ['ab', 'Data', 'a--b', '-ab', 'ab-', 'a_b', 'x'.repeat(64)]) {
    t.throws(check('n', container), { code: 'EINVAL', message: /container/ }, container)
  }
  t.throws(check('n', ''), { code: 'EINVAL' })
})

t.test('a listed name is a path unless a segment is empty or dots', async (t) => {
  t.equal(isPathName('a/b'), true)
  for (const name of ['a//b', '/a', 'a/../b', './a']) t.equal(isPathName(name), false)
})
