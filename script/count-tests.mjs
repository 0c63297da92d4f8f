// Counts the tests of a TAP file and prints `N passed, N failed` as the last line. A test is a
// `t.test` block without another inside; a block, or file, that fails although all tests inside
// passed (it crashed, or ran out of time) is one failure more. Usage: count-tests.mjs FILE EXIT_CODE
import { readFileSync } from 'node:fs'

const [file = '', exitCode = '1'] = process.argv.slice(2)
const counts = { passed: 0, failed: 0, skipped: 0 }
const open = []

for (const line of readFileSync(file, 'utf8').split('\n')) {
  const [, indent = '', text = ''] = /^( *)(.*)$/.exec(line) ?? []
  if (text.startsWith('# Subtest: ')) begin(indent.length)
  else if (/^(not )?ok\b/.test(text)) end(indent.length, text)
}
if (exitCode !== '0' && counts.failed === 0) counts.failed = 1
if (counts.skipped > 0) console.log(`${counts.skipped} skipped, for the reasons above`)
console.log(`${counts.passed} passed, ${counts.failed} failed`)
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1

function begin(depth) {
  const parent = open.at(-1)
  if (parent) parent.isLeaf = false
  open.push({ depth, isLeaf: true, failedBefore: counts.failed })
}

/** The result of a block, or of an assertion inside the block that is open. */
function end(depth, text) {
  const isSkipped = /# (skip|todo)/i.test(text)
  if (open.at(-1)?.depth !== depth) {
    if (isSkipped) console.log(text.replace(/^(not )?ok \d+ - /, ''))
    if (isSkipped) counts.skipped += 1
    return
  }
  const { isLeaf, failedBefore } = open.pop()
  const failed = text.startsWith('not ok') && !isSkipped
  if (failed && counts.failed === failedBefore) {
    counts.failed += 1
    console.log(text)
  } else if (isLeaf && !failed) counts.passed += 1
}
