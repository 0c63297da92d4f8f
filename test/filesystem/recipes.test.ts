import { readFile } from 'node:fs/promises'
import { format } from 'node:util'
import { runInThisContext } from 'node:vm'
import t from 'tap'
import ts from 'typescript'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { sync } from '../../src/filesystem/sync.ts'
import { memoryFileSystem, temporaryDirectory } from '../support/file-system.ts'

interface Recipe {
  readonly title: string
  readonly code: string
  readonly output: string
}

/** Each code block, the paragraph above and the output below it. */
function recipesIn(document: string): Recipe[] {
  const [first = '', ...others] = document.split('```ts\n')
  let above = first
  return others.map((text) => {
    const title = above.trim().split('\n\n').at(-1)?.replaceAll('\n', ' ') ?? ''
    const end = text.indexOf('\n```\n')
    const code = text.slice(0, end)
    const [, output = '', rest = ''] =
      /^\n```\n\n```text\n(.*?)```(.*)$/s.exec(text.slice(end)) ?? []
    above = rest
    return { title, code, output }
  })
}

/** Those of the readme, whose output stands behind each `console.log`. */
function shortRecipesIn(section: string): Recipe[] {
  const recipes = section.matchAll(/([^\n]+)\n\n```ts\n(.*?)\n```/gs)
  return [...recipes].map(([, title = '', code = '']) => {
    const said = [...code.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, text]) => text)
    return { title, code, output: `${said.join('\n')}\n` }
  })
}

/** For versions of Node that do not know `await using`. */
function asFunction(code: string): (...values: unknown[]) => Promise<void> {
  const source = `(async (fs, sync, directory, console) => {\n${code}\n})`
  const compilerOptions = { target: ts.ScriptTarget.ES2022 }
  const { outputText } = ts.transpileModule(source, { compilerOptions })
  return runInThisContext(outputText)
}

const document = await readFile(new URL('../../docs/filesystem.md', import.meta.url), 'utf8')
const recipes = recipesIn(document)

t.equal(recipes.length, 10, 'the document has ten recipes')
t.equal(document.split('```ts').length - 1, 10, 'all of its code is in them')

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
const [, section = ''] = /### Ten recipes\n(.*?)\n### /s.exec(readme) ?? []
const short = shortRecipesIn(section)
t.equal(short.length, 10, 'the readme has ten, too')

for (const { title, code, output } of [...recipes, ...short]) {
  t.test(`recipe: ${title}`, async (t) => {
    const { store } = await memoryFileSystem()
    // With the time of the machine: a change that meets another pauses.
    const fs = new AzureBlobFileSystem({ store })
    await fs.mkdir('data')
    const directory = await temporaryDirectory(t)
    const lines: string[] = []
    const console = { log: (...values: unknown[]) => lines.push(format(...values).trimEnd()) }
    const run = asFunction(code)

    await run(fs, sync, directory, console)

    t.equal(`${lines.join('\n')}\n`, output)
  })
}
