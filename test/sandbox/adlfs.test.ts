import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { writeEnvFile } from '../../src/sandbox/env-file.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'

const run = promisify(execFile)
const program = fileURLToPath(new URL('../support/adlfs-client.py', import.meta.url))

async function hasAdlfs(): Promise<boolean> {
  return run('python3', ['-c', 'import adlfs, aiohttp']).then(
    () => true,
    () => false,
  )
}

const skip = (await hasAdlfs())
  ? false
  : 'needs the Python packages adlfs and aiohttp (PYTHONPATH may name where they are)'

t.test('adlfs lists, writes and reads by what the environment file says', { skip }, async (t) => {
  const sandbox = await startSandbox({ containers: ['data'] })
  t.teardown(() => sandbox.close())
  const file = join(t.testdir(), 'sandbox.env')
  await writeEnvFile(file, sandbox.environment())

  const { stdout } = await run('sh', [
    '-c',
    'set -a; . "$1"; exec python3 "$2"',
    'sh',
    file,
    program,
  ])

  const line = "['data/dir/hello.txt'] b'hello'\n"
  t.equal(stdout, line + line)
})
