import t from 'tap'
import { formatDollars } from '../../../src/cli/drive/stats-view.ts'

t.test('small sums keep two digits that say something', (t) => {
  const sums = [0, 0.000_000_4, 0.000_064, 0.001_23, 0.25, 1, 12.345]

  t.strictSame(sums.map(formatDollars), [
    '$0.00',
    '$0.00000040',
    '$0.000064',
    '$0.0012',
    '$0.2500',
    '$1.00',
    '$12.35',
  ])
  t.end()
})
