/**
 * Run as a process of its own: n times, a worker mounts the place in the first argument and is
 * terminated while another process uses the mount. Prints how many times that went well.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { promisify } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { mount } from '../../src/fuse/mount.ts'
import { MemoryOperations } from './memory-operations.ts'

const run = promisify(execFile)

async function terminateWorkers(mountpoint: string, count: number): Promise<void> {
  for (let round = 0; round < count; round += 1) {
    const worker = new Worker(new URL(import.meta.url), { workerData: mountpoint })
    await new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    const reader = spawn('cat', [`${mountpoint}/zeros`], { stdio: 'ignore' })
    await run('cat', [`${mountpoint}/hello`], { timeout: 5000 })
    await worker.terminate()
    if (reader.exitCode === null) await once(reader, 'exit')
    await run('umount', ['-l', mountpoint])
  }
  process.stdout.write(`${count} workers\n`)
}

async function serve(mountpoint: string): Promise<void> {
  const operations = new MemoryOperations()
  operations.addFile('hello', Buffer.from('hello'))
  operations.addFile('zeros', Buffer.alloc(0), 2 ** 32)
  await mount(operations, { mountpoint, source: 'abfs://worker' })
  parentPort?.postMessage('mounted')
}

if (isMainThread) await terminateWorkers(process.argv[2] ?? '', Number(process.argv[3]))
else await serve(String(workerData))
