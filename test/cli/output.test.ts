import t from 'tap'
import { fitScreen } from '../../src/cli/output.ts'

t.test('a screen shows the first lines, whole ones first, and says what is left out', async (t) => {
  const lines = ['one', 'two', 'three', 'four']
  t.strictSame(fitScreen(lines, { rows: 24, columns: 80 }), lines)
  t.strictSame(fitScreen(lines, { rows: 5, columns: 80 }), lines, 'the cursor has the last row')
  t.strictSame(fitScreen(lines, { rows: 4, columns: 80 }), ['one', 'two', '… 2 more lines'])
  t.strictSame(fitScreen(lines, { rows: 4, columns: 4 }), ['one', 'two', '… 2…'])
  t.strictSame(fitScreen(['long line'], { rows: 2, columns: 5 }), ['long…'])
  t.strictSame(fitScreen(lines, { rows: 1, columns: 80 }), ['… 4 more lines'])
})
