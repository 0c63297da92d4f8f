/** What the documents, and comments in the code, point to is there. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const root = fileURLToPath(new URL('..', import.meta.url))
const text = (file: string) => readFileSync(join(root, file), 'utf8')
const listed = () => execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' })
const isClone = hasGit()

function hasGit(): boolean {
  try {
    return listed() !== ''
  } catch {
    return false
  }
}

const files = isClone ? listed().trim().split('\n') : []
const known = new Set(files.flatMap((file) => [file, ...directoriesOf(file)]))
const documents = files.filter((file) => file.endsWith('.md'))

function directoriesOf(file: string): string[] {
  const above = dirname(file)
  return above === '.' ? [] : [above, ...directoriesOf(above)]
}

/** As forges make them: of the words of a heading, without marks. */
function anchorsOf(file: string): Set<string> {
  const prose = text(file).replaceAll(/^```.*?^```/gms, '')
  const headings = [...prose.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => heading)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

function isThere(document: string, target: string): boolean {
  const [path = '', anchor] = target.split('#')
  const file = path === '' ? document : normalize(join(dirname(document), path)).replace(/\/$/, '')
  if (!known.has(file)) return false
  return anchor === undefined || !file.endsWith('.md') || anchorsOf(file).has(anchor)
}

const skip = !isClone && 'not a clone'

t.test('links in documents lead to files and headings', { skip }, async (t) => {
  let count = 0
  for (const document of documents) {
    for (const [, target = ''] of text(document).matchAll(/\]\(((?![a-z]+:)[^)\s]+)\)/g)) {
      count += 1
      if (!isThere(document, target)) t.fail(`${document}: ${target}`)
    }
  }
  t.ok(count > 100, `${count} links`)
})

t.test('files that documents name are there', { skip }, async (t) => {
  let count = 0
  for (const document of documents) {
    const names = text(document).matchAll(/`((?:src|test|script|bench|deploy|native)\/[\w./@-]+)`/g)
    for (const [, name = ''] of names) {
      count += 1
      const isBuilt = name.startsWith('native/build') || name === 'bench/server/blob-server'
      if (!isBuilt && !known.has(name.replace(/\/$/, ''))) t.fail(`${document}: ${name}`)
    }
  }
  t.ok(count > 100, `${count} files`)
})

t.test(
  'decisions have the number of their name, and are there where code names one',
  {
    skip,
  },
  async (t) => {
    const decisions = documents.filter((file) => file.startsWith('docs/decisions/'))
    for (const file of decisions) {
      t.ok(text(file).startsWith(`# ${Number(file.slice(15, 19))}. `), file)
    }
    const numbers = new Set(decisions.map((file) => file.slice(15, 19)))
    t.equal(numbers.size, decisions.length, 'no number is given twice')
    for (const file of files.filter((file) => /^(src|test|script|native|bench)\//.test(file))) {
      for (const [, number = ''] of text(file).matchAll(/decisions?[/ ](\d{4})\b/g)) {
        if (!numbers.has(number)) t.fail(`${file}: decision ${number}`)
      }
    }
  },
)
