/** Keeps small versions in a directory until it is killed: says so of each whose bytes are on the disk. */
import { DiskCache } from '../../src/transfer/disk-cache.ts'
import { patternOf } from './pattern.ts'

const [directory = '', time = ''] = process.argv.slice(2)
const content = patternOf(200_000)
const disk = new DiskCache({ directory })
for (let index = 0; index < 400; index += 1) {
  const path = { container: 'data', name: `file-${time}-${index}` }
  const key = { endpoint: 'memory:', path, etag: '"1"', sizeBytes: content.length }
  await disk.open(key).write(0, content, { onDone: () => process.send?.(index) })
}
