// The conformance cases in node:test; see test/conformance/cases.test.ts.
import test from 'node:test'
import { conformanceCases } from '../../src/conformance/index.ts'
import { memoryFileSystem } from './file-system.ts'

const { fs } = await memoryFileSystem()
for (const [index, { title, run }] of conformanceCases.entries()) {
  test(title, () => run(fs, `box/case-${index}`))
}
