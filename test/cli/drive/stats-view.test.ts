import t from 'tap'
import { amplification, readReport } from '../../../src/cli/drive/drive-report.ts'
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

t.test('amplification is of content alone, where the daemon tells it apart', (t) => {
  const of = (traffic: object) => {
    const report = readReport({
      ...{ directory: '/mnt', source: 'abfs://data', pid: 1, readOnly: true, unsaved: [] },
      calls: { byName: {}, readBytes: 100 },
      traffic: { requestsByOperation: {}, credentials: { byKind: {} }, ...traffic },
    })
    return report && amplification(report)
  }

  t.equal(of({ bytesReceived: 5000, contentBytesReceived: 300 }), 3)
  t.equal(of({ bytesReceived: 5000, contentBytesReceived: 0 }), 0)
  t.equal(of({ bytesReceived: 5000 }), 50, 'a daemon of an earlier version')
  t.end()
})
