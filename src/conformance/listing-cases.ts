import assert from 'node:assert/strict'
import { type ConformanceCase, demandCode, demandNames, plant } from './file-system.ts'

const tree = ['a.txt', 'b.csv', 'd/c.txt', 'd/e/f.txt', 'd/e/g.csv', 'x[1].txt']

/** Pattern, and what it matches in `tree`. */
const patterns: readonly (readonly [string, readonly string[]])[] = [
  ['*.txt', ['a.txt', 'x[1].txt']],
  ['?.*', ['a.txt', 'b.csv']],
  ['[!a].csv', ['b.csv']],
  ['d/*', ['d/c.txt', 'd/e']],
  ['d/*.txt', ['d/c.txt']],
  ['d/*/*.csv', ['d/e/g.csv']],
  ['**/g.csv', ['d/e/g.csv']],
  ['d/**', ['d', 'd/c.txt', 'd/e', 'd/e/f.txt', 'd/e/g.csv']],
  ['nothing*', []],
  ['a.txt', ['a.txt']],
]

/** Listing, searching and asking. */
export const listingCases: readonly ConformanceCase[] = [
  {
    title: 'ls tells the children of a directory by name, and nothing below them',
    async run(fs, root) {
      await plant(fs, root, tree)
      const found = await fs.ls(root)
      demandNames(root, found, ['a.txt', 'b.csv', 'd', 'x[1].txt'])
      assert.deepEqual(
        found.map(({ type }) => type),
        ['file', 'file', 'directory', 'file'],
      )
    },
  },
  {
    title: 'ls of a file tells its own entry',
    async run(fs, root) {
      await plant(fs, root, tree)
      const [only, ...more] = await fs.ls(`${root}/d/c.txt`)
      assert.deepEqual([only?.name, only?.size, more.length], [`${root}/d/c.txt`, 7, 0])
    },
  },
  {
    title: 'ls and info of what is missing are ENOENT, and exists is false',
    async run(fs, root) {
      await plant(fs, root, tree)
      await demandCode(fs.ls(`${root}/none`), 'ENOENT')
      await demandCode(fs.info(`${root}/none`), 'ENOENT')
      assert.equal(await fs.exists(`${root}/none`), false)
      assert.equal(await fs.exists(`${root}/d`), true)
    },
  },
  {
    title: 'a name that begins as another does is not below it',
    async run(fs, root) {
      await plant(fs, root, ['d/f', 'd2/f', 'd-3'])
      demandNames(root, await fs.ls(`${root}/d`), ['d/f'])
      demandNames(root, await fs.find(`${root}/d`), ['d/f'])
    },
  },
  {
    title: 'find tells all files below a directory by name, and a file itself',
    async run(fs, root) {
      await plant(fs, root, tree)
      demandNames(root, await fs.find(root), tree)
      demandNames(root, await fs.find(`${root}/a.txt`), ['a.txt'])
      demandNames(root, await fs.find(`${root}/none`), [])
    },
  },
  {
    title: 'an empty directory exists until it is removed',
    async run(fs, root) {
      await fs.makedirs(`${root}/p/q`)
      assert.equal((await fs.info(`${root}/p/q`)).type, 'directory')
      assert.deepEqual(await fs.ls(`${root}/p/q`), [])
      await demandCode(fs.makedirs(`${root}/p/q`), 'EEXIST')
      await fs.makedirs(`${root}/p/q`, { existOk: true })
      await fs.rm(`${root}/p`, { recursive: true })
      assert.equal(await fs.exists(`${root}/p`), false)
    },
  },
  ...patterns.map(
    ([pattern, expected]): ConformanceCase => ({
      title: `the pattern ${pattern} matches ${expected.length === 0 ? 'nothing' : expected.join(', ')}`,
      async run(fs, root) {
        await plant(fs, root, tree)
        demandNames(root, await fs.glob(`${root}/${pattern}`), expected)
      },
    }),
  ),
]
