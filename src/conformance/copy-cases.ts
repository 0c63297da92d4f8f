import assert from 'node:assert/strict'
import { type ConformanceCase, demandCode, demandNames, plant } from './file-system.ts'

/** What is copied, to where, whether `target` is there before, and what lies in `target` then. */
const rules: readonly (readonly [string, string, boolean, readonly string[]])[] = [
  ['source/file', 'target/', true, ['target/file']],
  ['source/file', 'target', true, ['target/file']],
  ['source/file', 'target/', false, ['target/file']],
  ['source/file', 'target/new', false, ['target/new']],
  ['source/sub', 'target', true, ['target/sub/inner']],
  ['source/sub', 'target', false, ['target/inner']],
  ['source/sub/', 'target', true, ['target/inner']],
  ['source/sub/', 'target/', false, ['target/inner']],
  ['source/*', 'target/', true, ['target/file', 'target/sub/inner']],
]

/** Copies, renames and removals. */
export const copyCases: readonly ConformanceCase[] = [
  ...rules.map(
    ([source, target, exists, expected]): ConformanceCase => ({
      title: `copy of ${source} to ${target}, ${exists ? 'which exists' : 'which is new'}, gives ${expected.join(', ')}`,
      async run(fs, root) {
        await plant(fs, root, ['source/file', 'source/sub/inner'])
        if (exists) await fs.makedirs(`${root}/target`)
        await fs.copy(`${root}/${source}`, `${root}/${target}`, { recursive: true })
        demandNames(root, await fs.find(`${root}/target`), expected)
        const [first] = expected
        const content = Buffer.from(await fs.catFile(`${root}/${first}`)).toString()
        assert.ok(['source/file', 'source/sub/inner'].includes(content), content)
      },
    }),
  ),
  {
    title: 'a copy leaves its source, and copying what is missing is ENOENT',
    async run(fs, root) {
      await plant(fs, root, ['f'])
      await fs.copy(`${root}/f`, `${root}/g`)
      demandNames(root, await fs.find(root), ['f', 'g'])
      await demandCode(fs.copy(`${root}/none`, `${root}/h`), 'ENOENT')
    },
  },
  {
    title: 'mv takes a file along, and a directory with what is in it',
    async run(fs, root) {
      await plant(fs, root, ['f', 'd/a', 'd/e/b'])
      await fs.mv(`${root}/f`, `${root}/g`)
      await fs.mv(`${root}/d`, `${root}/n`)
      demandNames(root, await fs.find(root), ['g', 'n/a', 'n/e/b'])
      assert.equal(await fs.exists(`${root}/d`), false)
      await demandCode(fs.mv(`${root}/f`, `${root}/h`), 'ENOENT')
    },
  },
  {
    title: 'rm removes a file, and a directory only when it is recursive',
    async run(fs, root) {
      await plant(fs, root, ['f', 'd/a', 'keep'])
      await fs.rm(`${root}/f`)
      await assert.rejects(fs.rm(`${root}/d`))
      demandNames(root, await fs.find(root), ['d/a', 'keep'])
      await fs.rm(`${root}/d`, { recursive: true })
      demandNames(root, await fs.find(root), ['keep'])
      await demandCode(fs.rm(`${root}/none`), 'ENOENT')
    },
  },
]
