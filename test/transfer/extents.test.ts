import fc from 'fast-check'
import t from 'tap'
import { Extents } from '../../src/transfer/extents.ts'

type Kind = 'a' | 'b'

const sizeBytes = 60
const range = fc
  .tuple(fc.nat({ max: sizeBytes }), fc.nat({ max: sizeBytes }))
  .map(([one, other]) => ({ start: Math.min(one, other), end: Math.max(one, other) }))
const change = fc.oneof(
  { weight: 5, arbitrary: fc.record({ range, kind: fc.constantFrom<Kind>('a', 'b') }) },
  { weight: 1, arbitrary: fc.record({ cut: fc.nat({ max: sizeBytes }) }) },
)

t.test('extents are what an array with one kind for each byte says', (t) => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`SEED=${seed}`)
  fc.assert(
    fc.property(fc.array(change, { maxLength: 20 }), range, (changes, asked) => {
      const extents = new Extents<Kind>()
      const bytes = Array<Kind | undefined>(sizeBytes).fill(undefined)
      for (const each of changes) {
        if ('cut' in each) {
          extents.cut(each.cut)
          bytes.fill(undefined, each.cut)
        } else {
          extents.set(each.range, each.kind)
          bytes.fill(each.kind, each.range.start, each.range.end)
        }
      }
      agree(extents, bytes, asked)
    }),
    { seed, numRuns: 2000 },
  )
  t.end()
})

function agree(
  extents: Extents<Kind>,
  bytes: readonly (Kind | undefined)[],
  asked: { readonly start: number; readonly end: number },
): void {
  const said: (Kind | undefined)[] = []
  let before: Kind | undefined | 'none' = 'none'
  for (const { start, end, kind } of extents.over(asked)) {
    if (end <= start || kind === before) throw new Error('an extent is empty, or not joined')
    before = kind
    for (let at = start; at < end; at++) said.push(kind)
  }
  const expected = bytes.slice(asked.start, asked.end)
  if (JSON.stringify(said) !== JSON.stringify(expected)) throw new Error('the bytes differ')
  const touches = expected.some((kind) => kind !== undefined)
  if (extents.touches(asked) !== touches) throw new Error('touches differs')
}
