/** Audits the contract in docs/semantics.md: every sentence has a test of the name that it says. */
import { existsSync, readFileSync } from 'node:fs'
import t from 'tap'

const page = readFileSync(new URL('../docs/semantics.md', import.meta.url), 'utf8')
const clauses = 11

interface Sentence {
  readonly clause: number
  readonly number: number
  readonly anchor: string
  readonly tests: readonly { readonly file: string; readonly title: string }[]
}

function sentences(): Sentence[] {
  const rows = page.matchAll(/^\| (\d+)\.(\d+) \| .+ \| \[.+\]\(#(.+)\) \| (.+) \|$/gm)
  return [...rows].map(([, clause, number, anchor = '', cell = '']) => ({
    clause: Number(clause),
    number: Number(number),
    anchor,
    tests: cell.split('; `').map((part) => {
      const [, file = '', title = ''] = /^`?(test\/[\w/-]+\.test\.ts)` “(.+)”$/.exec(part) ?? []
      return { file, title }
    }),
  }))
}

/** The titles of the tests in a file; what a template puts in is `…`. */
function titlesIn(file: string): string[] {
  const place = new URL(`../${file}`, import.meta.url)
  const source = existsSync(place) ? readFileSync(place, 'utf8') : ''
  const calls = source.matchAll(/\btest\(\s*(?:'((?:[^'\\]|\\.)*)'|`([^`]*)`)/g)
  return [...calls].map(
    ([, plain, template = '']) => plain ?? template.replace(/\$\{[^}]*\}/g, '…'),
  )
}

/** The sections of the page after the table, each with its text. */
function sections(): { readonly anchor: string; readonly text: string }[] {
  return page
    .split(/^###? /m)
    .slice(1)
    .map((part) => {
      const [heading = ''] = part.split('\n')
      const words = heading.toLowerCase().replace(/[^a-z0-9 -]/g, '')
      return { anchor: words.replaceAll(' ', '-'), text: part }
    })
}

t.test('every sentence of the contract has tests that the suite has', async (t) => {
  for (const { clause, number, tests } of sentences()) {
    for (const { file, title } of tests) {
      t.ok(titlesIn(file).includes(title), `${clause}.${number}: ‘${title}’ is a test of ${file}`)
    }
  }
})

t.test('the sentences are numbered in the order of the eleven clauses', async (t) => {
  const found = sentences().map(({ clause, number }) => `${clause}.${number}`)
  const counts = Array.from(
    { length: clauses },
    (_, at) => sentences().filter(({ clause }) => clause === at + 1).length,
  )
  const expected = counts.flatMap((count, at) =>
    Array.from({ length: count }, (_, index) => `${at + 1}.${index + 1}`),
  )

  t.strictSame(found, expected)
  t.ok(counts.every((count) => count > 0))
  t.equal(page.match(/^\| \d+\.\d+ /gm)?.length, found.length, 'every row can be read')
})

t.test('every section has an example, or a sentence of the contract leads there', async (t) => {
  const anchors = new Set(sentences().map(({ anchor }) => anchor))
  const known = sections()
  for (const { anchor, text } of known.slice(1)) {
    const isShown = text.includes('```drive') || anchors.has(anchor)
    t.ok(isShown, `‘${anchor}’ is tested`)
  }
  for (const anchor of anchors) {
    t.ok(
      known.some((section) => section.anchor === anchor),
      `‘${anchor}’ is a section`,
    )
  }
})
