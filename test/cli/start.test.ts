import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { startCliSandbox, temporaryDirectory, whyNoCli } from '../support/cli.ts'
import { type LoadingResult, runLoading } from '../support/loaded-modules.ts'

const filesOf = ({ modules }: LoadingResult) =>
  modules.filter((module) => /^file:.*\.js$/.test(module))
const packagesOf = ({ modules }: LoadingResult) =>
  modules.flatMap((module) => /\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(module)?.[1] ?? [])

t.test('what a short command loads', { skip: whyNoCli() }, async (t) => {
  t.test('the version comes from two files', async (t) => {
    for (const flag of ['--version', '-V']) {
      const result = await runLoading(t, [flag])

      t.match(result.stdout, /^\d+\.\d+\.\d+\n$/)
      t.equal(filesOf(result).length, 2)
      t.match(filesOf(result)[1], /version-/)
    }
  })

  t.test('help loads no package, and nothing that files are reached with', async (t) => {
    for (const argv of [['--help'], ['mount', '--help'], ['ls', '--help']]) {
      const result = await runLoading(t, argv)

      t.match(result.stdout, /^Usage: abfs/)
      t.strictSame(packagesOf(result), [])
      t.notOk(result.modules.includes('node:tls'))
      t.ok(filesOf(result).length <= 5, filesOf(result).join('\n'))
    }
  })

  t.test('listings come without the Azure SDK, whatever they list', async (t) => {
    const { client } = await startCliSandbox(t, '--engine', 'abfs')
    for (const argv of [['ls'], ['ls', '-l', 'abfs://data'], ['stat', 'abfs://data']]) {
      const result = await runLoading(t, argv, client)

      t.equal(result.code, 0, result.stderr)
      t.strictSame(packagesOf(result), [], argv.join(' '))
      t.notOk(result.modules.includes('node:zlib'))
      t.ok(filesOf(result).length <= 6, filesOf(result).join('\n'))
      t.match(filesOf(result), [
        /\/cli\/main/,
        /\/version-/,
        /\/quick\/run-files/,
        /\/quick\/commands-/,
      ])
    }
  })

  t.test('a copy where no terminal shows a bar loads no package', async (t) => {
    const { client } = await startCliSandbox(t, '--engine', 'abfs')
    const file = join(await temporaryDirectory(t), 'file')
    await writeFile(file, 'something')
    for (const argv of [
      ['cp', file, 'abfs://data/file'],
      ['cp', 'abfs://data/file', `${file}-back`],
      ['mv', 'abfs://data/file', 'abfs://data/other'],
    ]) {
      const result = await runLoading(t, argv, client)

      t.equal(result.code, 0, result.stderr)
      t.strictSame(packagesOf(result), [], argv.join(' '))
      t.ok(filesOf(result).length <= 7, filesOf(result).join('\n'))
    }
  })
})
