import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'

const script = fileURLToPath(new URL('../script/api-reference.mjs', import.meta.url))
const run = promisify(execFile)

t.test('all that is public has a docstring', async (t) => {
  const { stdout } = await run(process.execPath, [script, '--check']).catch((error) => error)
  t.equal(stdout, '')
})

t.test('the reference has a chapter for each export, with what its docstring says', async (t) => {
  const directory = t.testdir()
  await run(process.execPath, [script, directory])
  const text = await readFile(join(directory, 'abfs.md'), 'utf8')
  for (const name of [
    'AzureBlobFileSystem',
    'sync',
    'createFileSystem',
    'ErrnoCode',
    'DiskCache',
  ]) {
    t.match(text, `\n## ${name}\n`)
  }
  t.match(text, /### AzureBlobFileSystem\.catRanges\n\n```ts\ncatRanges\(requests: /)
  t.match(text, 'Many ranges, in the order asked; near ones of a file share a request.')
  t.match(text, 'The same as `catFile`.', 'links are names')
  t.notMatch(text, /#remote|\{@link/)
})
