/**
 * Run as a process of its own: mounts a file system in memory, says so, and serves until the mount
 * is gone. Takes its options as JSON in the first argument; `{"loops": n}` mounts and unmounts n
 * times instead.
 */
import { GiB } from '../../src/byte-range.ts'
import { mountByFuseNative } from '../../src/fuse/fuse-native/mount.ts'
import { type MountOptions, mount } from '../../src/fuse/mount.ts'
import { faultChannel } from '../../src/telemetry.ts'
import { MemoryOperations, type MemoryOptions } from './memory-operations.ts'

/** What the server is told. */
export type ServerOptions = MountOptions &
  MemoryOptions & { readonly loops?: number; readonly driver?: 'fuse-native' }

/** What the server says. */
export type ServerMessage =
  | { readonly kind: 'mounted'; readonly detachedDead: boolean }
  | { readonly kind: 'blocked' }
  | { readonly kind: 'settled'; readonly whyNoPassthrough: string | undefined }
  | { readonly kind: 'forgotten'; readonly count: number; readonly listed: number }
  | { readonly kind: 'stored'; readonly name: string }
  | { readonly kind: 'failed'; readonly code: string; readonly message: string }
  | { readonly kind: 'fault'; readonly operation: string; readonly message: string }
  | { readonly kind: 'looped'; readonly loops: number; readonly descriptors: number }
  | {
      readonly kind: 'closed'
      readonly abortedReads: number
      readonly openHandles: number
      readonly unmountedCalls: boolean
    }

function say(message: ServerMessage): Promise<void> {
  return new Promise((resolve) => process.send?.(message, () => resolve()))
}

async function serve(options: ServerOptions): Promise<void> {
  const operations = new MemoryOperations(options)
  operations.addFile('hello', Buffer.from('hello, world\n'))
  operations.addFile('stuck', Buffer.from('never'))
  operations.addFile('broken', Buffer.from('never'))
  operations.addFile('refuses-close', Buffer.alloc(0))
  operations.addFile('zeros', Buffer.alloc(0), 8 * GiB)
  const start = options.driver === 'fuse-native' ? mountByFuseNative : mount
  const mounted = await start(operations, options)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void mounted.unmount({ lazy: true }))
  }
  process.on('message', (message) => {
    if (message === 'block') blockForEver()
  })
  await say({ kind: 'mounted', detachedDead: mounted.detachedDead })
  await mounted.closed
  await say({
    kind: 'closed',
    abortedReads: operations.abortedReads,
    openHandles: operations.openHandles.size,
    unmountedCalls: operations.wasUnmounted,
  })
}

/** What a bug in JavaScript does at its worst. */
function blockForEver(): never {
  process.send?.({ kind: 'blocked' } satisfies ServerMessage)
  const cell = new Int32Array(new SharedArrayBuffer(4))
  for (;;) Atomics.wait(cell, 0, 0)
}

async function loop(options: ServerOptions): Promise<void> {
  const { readdirSync } = await import('node:fs')
  const { loops = 0 } = options
  const before = readdirSync('/proc/self/fd').length
  for (let count = 0; count < loops; count += 1) {
    const mounted = await mount(new MemoryOperations(options), options)
    await mounted.unmount()
  }
  const descriptors = readdirSync('/proc/self/fd').length - before
  await say({ kind: 'looped', loops, descriptors })
}

faultChannel.subscribe((event) => {
  const { operation, error } = event as { operation: string; error: Error }
  void say({ kind: 'fault', operation, message: error.message })
})
const options: ServerOptions = JSON.parse(process.argv[2] ?? '{}')
try {
  await (options.loops === undefined ? serve(options) : loop(options))
} catch (error) {
  const { code, message } = error as { code: string; message: string }
  await say({ kind: 'failed', code: String(code), message })
}
process.disconnect?.()
