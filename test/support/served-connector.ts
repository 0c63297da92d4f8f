import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { z } from 'zod'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/** `abfs connector serve` as a process; it is killed with the test, or before. */
export async function serveConnector(
  t: Test,
  file: string,
): Promise<{ child: ChildProcess; url: URL }> {
  const argv = ['--', main, 'connector', 'serve', '--config', file]
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  t.teardown(() => child.kill('SIGKILL'))
  const said = child.stderr === null ? '' : text(child.stderr)
  const ended = once(child, 'exit').then(async () => {
    throw new Error(`the connector ended: ${await said}`)
  })
  // Only its end before it listens is a failure.
  ended.catch(() => undefined)
  const [message] = await Promise.race([once(child, 'message'), ended])
  return { child, url: new URL(z.object({ url: z.string() }).parse(message).url) }
}
