import { chmod, mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { DriveOptions } from './drive-server.ts'
import { MountServer, temporaryMountpoint } from './temp-mount.ts'

/** The drive over an account in memory, served by another process. */
export interface TemporaryDrive {
  readonly server: MountServer
  readonly mountpoint: string
  /** Unmounts and mounts the same account again, which knows nothing but what is stored. */
  remount(): Promise<void>
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
  return { server, mountpoint, remount: () => remount(server) }
}

/** A directory on the local file system that all users may pass. */
export async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'abfs-local-')))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  await chmod(directory, 0o755)
  return directory
}

async function remount(server: MountServer): Promise<void> {
  server.messages.splice(0)
  server.child.send('remount')
  await server.said('mounted')
}
