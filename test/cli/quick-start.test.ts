/** Commands on files begin from scripts that are compiled already, where Node can use that, and as well where not. */
import { execFile } from 'node:child_process'
import { cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Script } from 'node:vm'
import t, { type Test } from 'tap'
import { fileCommands } from '../../src/cli/file-commands.ts'
import { quickCommands } from '../../src/cli/quick-start.ts'
import { startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const thisNode = `${process.version}-${process.arch}`

t.test('the commands on files are quick, and no others', async (t) => {
  t.strictSame([...quickCommands], Object.keys(fileCommands.commands))
})

/** A copy of the commands alone, with the packages of the clone. */
async function copied(t: Test): Promise<string> {
  const directory = await temporaryDirectory(t)
  for (const name of ['dist/cli/main.js', 'dist/chunks', 'dist/quick', 'package.json']) {
    await cp(join(root, name), join(directory, name), { recursive: true })
  }
  return directory
}

const list = async (directory: string, env: NodeJS.ProcessEnv, ...flags: readonly string[]) => {
  const argv = [...flags, '--', join(directory, 'dist/cli/main.js'), 'ls']
  const { stdout, stderr } = await run(process.execPath, argv, { env })
  return { stdout, stderr }
}

t.test('the scripts', { skip: whyNoCli() }, async (t) => {
  t.test('Node takes what it compiled of each when it was built', async (t) => {
    const directory = join(root, 'dist/quick')
    const caches = await readdir(join(directory, thisNode))

    t.match(caches.sort(), [/^account-/, /^commands-/, /^content-/])
    for (const name of caches) {
      const filename = join(directory, name)
      const cachedData = await readFile(join(directory, thisNode, name))
      const script = new Script(await readFile(filename, 'latin1'), { filename, cachedData })
      t.equal(script.cachedDataRejected, false, name)
    }
  })

  const { client } = await startCliSandbox(t, '--engine', 'abfs')
  const env = { PATH: process.env['PATH'], ...client }
  const told = { stdout: 'data/\n', stderr: '' }

  t.test('another Node has nothing compiled, and compiles them', async (t) => {
    const directory = await copied(t)
    await rm(join(directory, 'dist/quick', thisNode), { recursive: true })

    t.strictSame(await list(directory, env), told)
  })

  t.test('what does not fit is refused: other flags, half a file, something else', async (t) => {
    const directory = await copied(t)
    t.strictSame(await list(directory, env, '--no-opt', '--stack-size=900'), told)

    for (const damage of [(data: Buffer) => data.subarray(0, 5000), () => Buffer.from('nothing')]) {
      for (const name of await readdir(join(directory, 'dist/quick', thisNode))) {
        const file = join(directory, 'dist/quick', thisNode, name)
        await writeFile(file, damage(await readFile(file)))
      }
      t.strictSame(await list(directory, env), told)
    }
  })

  t.test('without any scripts commands begin as all others do', async (t) => {
    const directory = await copied(t)
    await rm(join(directory, 'dist/quick'), { recursive: true })

    t.strictSame(await list(directory, env), told)
  })
})
