import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  generateRingLine,
  type KeyRing,
  parseKeyRing,
  seal,
  unseal,
} from '../../../src/connector/state/seal.ts'

const ring = parseKeyRing(generateRingLine('a') + generateRingLine('b'), 'memory')
const place = { row: 'connectors/1', field: 'clientSecret' }

t.test('what is sealed opens at its place, and with the ring rotated', async (t) => {
  const [first, second] = [...ring.keys.keys()].reverse()
  const rotated: KeyRing = { current: first ?? '', keys: ring.keys }
  t.equal(rotated.current, 'b')
  t.equal(second, 'a')
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const sealed = seal(ring, place, text)
      t.equal(unseal(rotated, place, sealed), text)
    }),
    { numRuns: 50 },
  )
})

t.test('the same text is never sealed alike twice', async (t) => {
  t.not(seal(ring, place, 'x'), seal(ring, place, 'x'))
})

t.test('nothing opens elsewhere, with another key, or after a change of one bit', async (t) => {
  const sealed = seal(ring, place, 'secret')
  const refused = { code: 'EACCES' }
  t.throws(() => unseal(ring, { ...place, row: 'connectors/2' }, sealed), refused)
  t.throws(() => unseal(ring, { ...place, field: 'token' }, sealed), refused)
  const other = parseKeyRing(generateRingLine('a'), 'memory')
  t.throws(() => unseal(other, place, sealed), { code: 'EACCES', message: /key 'a'/ })
  const unknown = parseKeyRing(generateRingLine('z'), 'memory')
  t.throws(() => unseal(unknown, place, sealed), { code: 'EACCES', message: /no key 'a'/ })
  const bytes = Buffer.from(sealed.split('.')[2] ?? '', 'base64url')
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    t.throws(() => unseal(ring, place, `v1.a.${changed.toString('base64url')}`), refused)
  }
  for (const garbage of ['', 'v1', 'v1.a.', 'v2.a.AAAA', 'v1.a.AAAA', sealed.slice(0, -20)]) {
    t.throws(() => unseal(ring, place, garbage), refused, garbage)
  }
})

t.test('a ring that is none is refused without repeating it', async (t) => {
  const short = randomBytes(31).toString('base64')
  for (const text of [
    '',
    '# nothing\n',
    'a',
    `a:${short}`,
    'a:',
    generateRingLine('a').repeat(2),
  ]) {
    t.throws(() => parseKeyRing(text, 'ring.txt'), { code: 'EINVAL', path: 'ring.txt' })
  }
  try {
    parseKeyRing(`a:${short}`, 'ring.txt')
  } catch (error) {
    t.notMatch(String(error), short)
  }
})
