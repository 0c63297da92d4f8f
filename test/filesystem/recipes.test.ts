import { readFile } from 'node:fs/promises'
import { format } from 'node:util'
import t from 'tap'
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

const AsyncFunction = (async () => undefined).constructor

const document = await readFile(new URL('../../docs/filesystem.md', import.meta.url), 'utf8')
const recipes = recipesIn(document)

t.equal(recipes.length, 10, 'the document has ten recipes')
t.equal(document.split('```ts').length - 1, 10, 'all of its code is in them')

for (const { title, code, output } of recipes) {
  t.test(`recipe: ${title}`, async (t) => {
    const { fs } = await memoryFileSystem()
    await fs.mkdir('data')
    const directory = await temporaryDirectory(t)
    const lines: string[] = []
    const console = { log: (...values: unknown[]) => lines.push(format(...values).trimEnd()) }
    const run = AsyncFunction('fs', 'sync', 'directory', 'console', code)

    await run(fs, sync, directory, console)

    t.equal(`${lines.join('\n')}\n`, output)
  })
}
