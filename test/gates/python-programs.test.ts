/** What data is kept and read with in Python (test/requirements.txt), and pip, on the drive and after a remount. */
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { runLong } from '../support/program.ts'
import { startDrive } from '../support/temp-drive.ts'
import { whyNoMounts } from '../support/temp-mount.ts'

const python = fileURLToPath(new URL('../../.venv/bin/python', import.meta.url))
const source = fileURLToPath(new URL('data_programs.py', import.meta.url))

/** Why a program cannot be run; `false` when its package is there. */
async function whyNoPackage(name: string): Promise<string | false> {
  const missing = `${name} is missing: script/setup --tests`
  const { status } = await runLong(python, ['-c', `import ${name}`]).catch(() => ({ status: 1 }))
  return status === 0 ? false : missing
}

/** What a program prints that finds what it wrote; for each, the package that it needs. */
const programs = [
  { name: 'duckdb', needs: 'duckdb', finds: '(200000, 19999900000)' },
  { name: 'parquet', needs: 'duckdb', finds: '((200000, 19999900000), (10,))' },
  { name: 'numpy', needs: 'numpy', finds: '200000 19999900000 150000' },
  {
    name: 'safetensors',
    needs: 'safetensors.numpy',
    finds: "['a', 'b'] [150000, 150001, 150002] 262144.0",
  },
  {
    name: 'hub',
    needs: 'huggingface_hub',
    finds: "True [('config.json', 13, True), ('weights/model.bin', 1048576, True)] 1048589 0",
  },
]
const needed = programs.map(({ needs }) => needs).join(', ')

t.test(
  'databases, tables, arrays, weights and a cache of models are read as they were written',
  { skip: whyNoMounts() || (await whyNoPackage(needed)), timeout: 0 },
  async (t) => {
    const drive = await startDrive(t, { blockBytes: 256 * 1024 })
    const demandAll = async (step: string) => {
      for (const { name, finds } of programs) {
        const { output } = await runLong(python, [
          source,
          name,
          step,
          `${drive.mountpoint}/${name}`,
        ])
        t.equal(output.trim(), finds, `${name}: ${step}`)
      }
    }
    await demandAll('make')
    await drive.remount()
    await demandAll('read')
  },
)

const wheel = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + '/hello-1.0-py3-none-any.whl', 'w') as w:
    w.writestr('hello/__init__.py', 'def main(): print("hello")')
    w.writestr('hello-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: hello\\nVersion: 1.0\\n')
    w.writestr('hello-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
    w.writestr('hello-1.0.dist-info/entry_points.txt', '[console_scripts]\\nhello = hello:main\\n')
    w.writestr('hello-1.0.dist-info/RECORD', '')`

t.test(
  'pip installs into an environment on the drive, and takes the package away again',
  { skip: whyNoMounts() || (await whyNoPackage('pip')), timeout: 0 },
  async (t) => {
    const drive = await startDrive(t)
    const there = drive.mountpoint
    const demand = async (command: string, args: readonly string[]) => {
      const { status, output } = await runLong(command, args)
      t.equal(status, 0, output)
      return output
    }
    await demand(python, ['-c', wheel, there])
    await demand(python, ['-m', 'venv', '--without-pip', `${there}/env`])
    const pip = ['-m', 'pip', '--python', `${there}/env/bin/python`, '--disable-pip-version-check']
    await demand(python, [...pip, 'install', '-q', '--no-index', '--find-links', there, 'hello'])
    await drive.remount()
    t.equal(await demand(`${there}/env/bin/hello`, []), 'hello\n')
    t.match(await demand(python, [...pip, 'check']), 'No broken requirements found')
    await demand(python, [...pip, 'uninstall', '-q', '-y', 'hello'])
    t.equal((await runLong(`${there}/env/bin/python`, ['-c', 'import hello'])).status, 1)
  },
)
