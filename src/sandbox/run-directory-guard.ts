import { spawn } from 'node:child_process'
import { once } from 'node:events'

// Ends with its owner, however that dies: the kernel closes the channel.
const childProgram = `
process.once('disconnect', () => {
  require('node:fs').rmSync(process.cwd(), { recursive: true, force: true })
  process.exit()
})
process.send('ready')
`

/** Watches over a directory that this process may not be able to remove itself. */
export interface RunDirectoryGuard {
  /** Ends the watch; the directory goes with it. Never throws. */
  close(): Promise<void>
}

/** Removes a directory when this process dies, even by SIGKILL. */
export async function guardRunDirectory(path: string): Promise<RunDirectoryGuard> {
  const child = spawn(process.execPath, ['--input-type=commonjs', '-e', childProgram], {
    cwd: path,
    env: {},
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    // Its own process group: Ctrl-C reaches this process alone.
    detached: true,
  })
  const ended = once(child, 'exit')
  await Promise.race([once(child, 'message'), ended])
  child.unref()
  child.channel?.unref()
  return {
    close: async () => {
      if (child.connected) child.disconnect()
      child.ref()
      await ended
    },
  }
}
