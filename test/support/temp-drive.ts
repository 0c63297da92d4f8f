import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { DriveOptions } from './drive-server.ts'
import { MountServer, shell, temporaryMountpoint } from './temp-mount.ts'

/** The drive over an account in memory, served by another process. */
export interface TemporaryDrive {
  readonly server: MountServer
  readonly mountpoint: string
  /** Unmounts and mounts the same account again, which knows nothing but what is stored. */
  remount(): Promise<void>
  /** Unmounts and mounts an empty account there, with these options: cheaper than another process. */
  anew(options: Omit<Partial<DriveOptions>, 'mountpoint'>): Promise<void>
  /** What `ask` gives while the JavaScript that serves the drive hangs. */
  whileHanging<Answer>(ask: () => Promise<Answer>): Promise<Answer>
}

/** Mounts a drive; it is taken away when the test ends. */
export async function startDrive(
  t: Test,
  options: Omit<Partial<DriveOptions>, 'mountpoint'> = {},
): Promise<TemporaryDrive> {
  const mountpoint = await temporaryMountpoint(t)
  const spoolDirectory = await temporaryDirectory(t)
  const server = new MountServer({ spoolDirectory, ...options, mountpoint }, undefined, {
    name: 'drive-server.ts',
  })
  t.teardown(() => server.child.kill('SIGKILL'))
  await server.said('mounted')
  return {
    server,
    mountpoint,
    remount: () => mountAgain(server, 'remount'),
    anew: (other) => mountAgain(server, { anew: other }),
    whileHanging: (ask) => whileHanging(server, join(spoolDirectory, 'go-on'), ask),
  }
}

/** A directory on the local file system that all users may pass. */
export async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'abfs-local-')))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o755)
  return directory
}

async function mountAgain(server: MountServer, message: string | object): Promise<void> {
  server.messages.splice(0)
  server.child.send(message)
  await server.said('mounted')
}

async function whileHanging<Answer>(
  server: MountServer,
  fifo: string,
  ask: () => Promise<Answer>,
): Promise<Answer> {
  await shell(`mkfifo ${fifo}`)
  server.messages.splice(0)
  server.child.send({ hangUntil: fifo })
  await server.said('blocked')
  try {
    return await ask()
  } finally {
    await shell(`echo > ${fifo} && rm ${fifo}`)
  }
}
