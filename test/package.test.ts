import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { whyNoCli } from './support/cli.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const skip = whyNoCli()

/** A project that has the packed package, its dependencies and nothing of the clone. */
async function project(t: Test): Promise<string> {
  const directory = t.testdir({ 'package.json': '{ "type": "module" }' })
  const modules = join(directory, 'node_modules')
  const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  await mkdir(join(modules, 'abfs'), { recursive: true })
  await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', directory], {
    cwd: root,
  })
  const [tarball = ''] = (await readdir(directory)).filter((name) => name.endsWith('.tgz'))
  await run('tar', ['xzf', tarball, '-C', 'node_modules/abfs', '--strip-components=1'], {
    cwd: directory,
  })
  for (const name of [...Object.keys(dependencies), '@types/node']) {
    const link = join(modules, name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(root, 'node_modules', name), link)
  }
  return directory
}

/** The code blocks of a document as modules; what they are given is declared. */
async function writeRecipes(directory: string, document: string): Promise<void> {
  const text = await readFile(join(root, document), 'utf8')
  for (const [index, [, code = '']] of [...text.matchAll(/```ts\n(.*?)```/gs)].entries()) {
    const own = code.match(/^import .*$/gm) ?? [
      "import { type AzureBlobFileSystem, sync } from 'abfs'",
      'declare const fs: AzureBlobFileSystem, directory: string',
    ]
    const body = code.replaceAll(/^import .*$/gm, '')
    const name = `${document.replaceAll(/\W/g, '-')}-${index}.ts`
    await writeFile(join(directory, name), `${own.join('\n')}\n{\n${body}\n}\n`)
  }
}

t.test('the packed package', { skip }, async (t) => {
  const directory = await project(t)

  t.test('has each entry point, and the commands', async (t) => {
    const { exports, bin, version } = JSON.parse(
      await readFile(join(directory, 'node_modules/abfs/package.json'), 'utf8'),
    )
    const entries = Object.keys(exports).filter((name) => !name.endsWith('.json'))
    const code = `for (const name of ${JSON.stringify(entries)}) {
      const names = Object.keys(await import(name.replace('.', 'abfs')))
      console.log(name, names.length > 0)
    }`
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], {
      cwd: directory,
    })
    t.equal(stdout, entries.map((name) => `${name} true\n`).join(''))
    const main = join(directory, 'node_modules/abfs', bin.abfs)
    const told = await run(process.execPath, ['--', main, '--version'])
    t.equal(told.stdout, `${version}\n`)
  })

  t.test('has what its documents point to beside them', async (t) => {
    const place = join(directory, 'node_modules/abfs')
    for (const document of ['docs/drive.md', 'docs/connector.md']) {
      const text = await readFile(join(place, document), 'utf8')
      for (const [, target = ''] of text.matchAll(/\]\(((?!https?:)[^)#]+)/g)) {
        await t.resolves(readFile(join(place, dirname(document), target)), `${document}: ${target}`)
      }
    }
  })

  for (const moduleResolution of ['nodenext', 'bundler']) {
    t.test(`recipes compile strictly, resolved as ${moduleResolution} does`, async (t) => {
      await writeRecipes(directory, 'README.md')
      await writeRecipes(directory, 'docs/filesystem.md')
      const compilerOptions = {
        module: moduleResolution === 'nodenext' ? 'nodenext' : 'esnext',
        moduleResolution,
        strict: true,
        target: 'es2022',
        lib: ['es2023', 'esnext.disposable'],
        types: ['node'],
        noEmit: true,
      }
      const config = JSON.stringify({ compilerOptions, include: ['*.ts'] })
      await writeFile(join(directory, 'tsconfig.json'), config)
      const tsc = join(root, 'node_modules/typescript/bin/tsc')
      const { stdout } = await run(process.execPath, [tsc, '-p', directory]).catch((error) => error)
      t.equal(stdout, '')
    })
  }
})
