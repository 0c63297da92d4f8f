// One job of the library in a process of its own: node library-worker.mjs read|iterate|write|list URL [FILE]
import { createFileSystem } from '../dist/index.js'

const [job, url, file] = process.argv.slice(2)

const jobs = {
  // One buffer is used again and again, as a program does that only passes bytes on.
  async read(fs) {
    const reader = await fs.open(url, 'r')
    const buffer = Buffer.allocUnsafeSlow(64 * 1024 * 1024)
    let bytes = 0
    for (;;) {
      const count = await reader.readInto(buffer)
      if (count === 0) break
      bytes += count
    }
    await reader.close()
    return bytes
  },
  // Every piece is memory of its own, which the caller could keep.
  async iterate(fs) {
    const reader = await fs.open(url, 'r')
    let bytes = 0
    for await (const part of reader) bytes += part.length
    await reader.close()
    return bytes
  },
  async write(fs) {
    await fs.putFile(file, url)
    return 0
  },
  async list(fs) {
    return (await fs.ls(url)).length
  },
}

const fs = await createFileSystem({})
const result = await jobs[job](fs)
await fs.close()
process.stdout.write(`${result}\n`)
