// Counts the tests of a TAP file and prints `N passed, N failed` as the last line. A test is a
// `t.test` block without another inside; a block, or file, that fails although all tests inside
// passed (it crashed, or ran out of time) is one failure more.
//
//   count-tests.mjs --failed FILE                  the files of tests in which something failed
//   count-tests.mjs EXIT_CODE FILE [SECOND_FILE]   counts; files that ran twice count as the second time
import { readFileSync } from 'node:fs'

const [mode = '1', ...files] = process.argv.slice(2)
if (mode === '--failed') listFailed(files[0])
else report(mode, files)

function listFailed(file) {
  for (const [name, { failures }] of parse(file)) if (failures.length > 0) console.log(name)
}

function report(exitCode, [first, second]) {
  const results = parse(first)
  for (const [name, result] of second ? parse(second) : []) {
    const before = results.get(name)?.failures ?? []
    console.log(`${name} ran twice; the first time failed:\n${before.join('\n')}`)
    results.set(name, result)
  }
  const all = [...results.values()]
  for (const line of all.flatMap(({ skips }) => skips)) console.log(line)
  for (const line of all.flatMap(({ failures }) => failures)) console.log(line)
  summarize(exitCode, all)
}

function summarize(exitCode, all) {
  const sum = (count) => all.reduce((total, result) => total + count(result), 0)
  const passed = sum((result) => result.passed)
  const skipped = sum((result) => result.skips.length)
  const failed = Math.max(
    sum((result) => result.failures.length),
    exitCode === '0' ? 0 : 1,
  )
  if (skipped > 0) console.log(`${skipped} skipped, for the reasons above`)
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1
}

/** What each file of tests came to: a map of its name to counts and titles, with what was said of a failure. */
function parse(file) {
  const results = new Map()
  const open = []
  let result
  let detail
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [, indent = '', text = ''] = /^( *)(.*)$/.exec(line) ?? []
    if (detail !== undefined) detail = continued(result, detail, text)
    else if (text === '---' && result?.lastFailed) detail = []
    else if (text.startsWith('# Subtest: ')) {
      if (indent === '') result = resultOf(results, text.slice('# Subtest: '.length))
      begin(open, result, indent.length)
    } else if (/^(not )?ok\b/.test(text)) {
      result ??= resultOf(results, 'no file')
      end(open, result, indent.length, text)
    }
  }
  return results
}

function resultOf(results, name) {
  const result = { passed: 0, failures: [], skips: [], said: [], lastFailed: false }
  results.set(name, result)
  return result
}

/** The block of text that follows a failure; what is worth showing of it goes with the failure's title. */
function continued(result, detail, text) {
  if (text !== '...') return [...detail, text]
  result.said.push(...detail.slice(0, 40).map((line) => `    ${line}`))
  result.lastFailed = false
  return undefined
}

function begin(open, result, depth) {
  const parent = open.at(-1)
  if (parent) parent.isLeaf = false
  open.push({ depth, isLeaf: true, failedBefore: result.failures.length })
}

/** The result of a block, or of an assertion inside the block that is open. */
function end(open, result, depth, text) {
  const isSkipped = /# (skip|todo)/i.test(text)
  const failed = text.startsWith('not ok') && !isSkipped
  result.lastFailed = failed
  if (open.at(-1)?.depth !== depth) {
    if (isSkipped) result.skips.push(text.replace(/^(not )?ok \d+ - /, ''))
    if (failed) result.said.push(text)
    return
  }
  const { isLeaf, failedBefore } = open.pop()
  if (failed && result.failures.length === failedBefore) {
    result.failures.push([text, ...result.said].join('\n'))
  } else if (isLeaf && !failed) result.passed += 1
  result.said = []
}
