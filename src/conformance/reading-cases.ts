import assert from 'node:assert/strict'
import { type ConformanceCase, demandCode, plant } from './file-system.ts'

const alphabet = 'abcdefghijklmnopqrstuvwxyz'

/** First byte, the one after the last, and what lies between. */
const ranges: readonly (readonly [number | undefined, number | undefined, string])[] = [
  [undefined, undefined, alphabet],
  [0, 3, 'abc'],
  [23, undefined, 'xyz'],
  [undefined, 2, 'ab'],
  [-3, undefined, 'xyz'],
  [-3, -1, 'xy'],
  [undefined, -24, 'ab'],
  [20, 99, 'uvwxyz'],
  [5, 5, ''],
  [99, undefined, ''],
]

/** Reading, writing and ranges. */
export const readingCases: readonly ConformanceCase[] = [
  {
    title: 'what is written is read, and written again replaced',
    async run(fs, root) {
      for (const text of ['first, and longer', '', 'second']) {
        await fs.pipeFile(`${root}/f`, Buffer.from(text))
        assert.equal(Buffer.from(await fs.catFile(`${root}/f`)).toString(), text)
        assert.equal((await fs.info(`${root}/f`)).size, text.length)
      }
    },
  },
  {
    title: 'mode create makes a file once',
    async run(fs, root) {
      await fs.pipeFile(`${root}/f`, Buffer.from('mine'), { mode: 'create' })
      await demandCode(fs.pipeFile(`${root}/f`, Buffer.from('x'), { mode: 'create' }), 'EEXIST')
      assert.equal(Buffer.from(await fs.catFile(`${root}/f`)).toString(), 'mine')
    },
  },
  {
    title: 'reading what is missing is ENOENT, and a directory EISDIR',
    async run(fs, root) {
      await plant(fs, root, ['d/f'])
      await demandCode(fs.catFile(`${root}/none`), 'ENOENT')
      await demandCode(fs.catFile(`${root}/d`), 'EISDIR')
      await demandCode(fs.pipeFile(`${root}/d`, Buffer.from('x')), 'EISDIR')
    },
  },
  {
    title: 'characters that mean something in URLs are names',
    async run(fs, root) {
      for (const name of ['a b', '%20', 'q?x=1', 'h#1', 'plus+', 'ü€', "it's", 'x&y', 'a=b;c,d']) {
        await plant(fs, root, [name])
        assert.equal(Buffer.from(await fs.catFile(`${root}/${name}`)).toString(), name)
        assert.equal((await fs.info(`${root}/${name}`)).name, `${root}/${name}`)
      }
    },
  },
  ...ranges.map(
    ([start, end, expected]): ConformanceCase => ({
      title: `the bytes [${start ?? ''}, ${end ?? ''}) of 26 are ${JSON.stringify(expected)}`,
      async run(fs, root) {
        await fs.pipeFile(`${root}/f`, Buffer.from(alphabet))
        const range = {
          ...(start === undefined ? {} : { start }),
          ...(end === undefined ? {} : { end }),
        }
        const data = await fs.catFile(`${root}/f`, range)
        assert.equal(Buffer.from(data).toString(), expected)
      },
    }),
  ),
]
