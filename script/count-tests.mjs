// Counts the tests of a TAP file (`t.test` blocks of each test file, and files that died without
// one) and prints `N passed, N failed` as the last line. Usage: count-tests.mjs FILE TAP_EXIT_CODE
import { readFileSync } from 'node:fs'

const [file = '', exitCode = '1'] = process.argv.slice(2)
const lines = readFileSync(file, 'utf8').split('\n')
const tests = lines.filter((line) => /^ {4}(not )?ok /.test(line))
const isSkipped = (line) => / # (skip|todo)/i.test(line)
const isFailed = (line) => line.trimStart().startsWith('not ok') && !isSkipped(line)

const skipped = tests.filter(isSkipped)
const failedTests = tests.filter(isFailed)
const failedFiles = lines.filter((line) => /^not ok /.test(line) && !isSkipped(line))
// A file can fail while all its tests pass (it crashed, or timed out): that is a failure too.
const failed = Math.max(failedTests.length, failedFiles.length, exitCode === '0' ? 0 : 1)
const passed = tests.length - failedTests.length - skipped.length

for (const line of [...failedFiles, ...failedTests, ...skipped]) console.log(line.trim())
console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 && passed > 0 ? 0 : 1
