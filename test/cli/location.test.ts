import t from 'tap'
import { acrossAccounts, parseLocation } from '../../src/cli/location.ts'

const one = 'abfs://a@one.dfs.core.windows.net/x'
const two = 'https://two.blob.core.windows.net/b/x'
const mine = 'abfs://a/x'

const cases: readonly (readonly [readonly string[], string, boolean])[] = [
  [[one], two, true],
  [[one, mine], two, true],
  [[mine, one], two, true],
  [[one], one, false],
  [[mine], two, false],
  [[one], mine, false],
  [[mine], mine, false],
  [[one], './x', false],
  [['./x'], two, false],
  [[one, './x'], two, false],
  [[one], '-', false],
  [['-'], two, false],
]

for (const [from, to, isAcross] of cases) {
  t.test(
    `${from.join(' and ')} to ${to} is ${isAcross ? 'across' : 'within one side'}`,
    async (t) => {
      const sides = acrossAccounts(from.map(parseLocation), parseLocation(to))
      t.equal(sides !== undefined, isAcross)
      if (sides === undefined) return
      t.equal(sides.to.account, 'two')
      t.equal(sides.from.length, from.length)
    },
  )
}
