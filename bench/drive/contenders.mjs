import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { run } from '../measure.mjs'

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

/**
 * A mount that is made anew for each measurement. `flush(paths)` resolves when what was written is in the
 * service; `pid(mountpoint)` tells who serves.
 */
export function abfsDrive(server, { directory, name = 'abfs', flags = [], cache }) {
  const env = {
    ...server.environment,
    PATH: process.env.PATH,
    HOME: directory,
    XDG_RUNTIME_DIR: directory,
  }
  const cacheFlags = cache === undefined ? [] : ['--cache-dir', join(directory, cache)]
  const state = { log: join(directory, 'abfs.log') }
  return {
    name,
    async mount() {
      const mountpoint = mkdtempSync(join(directory, 'mnt-'))
      const args = [
        'mount',
        'abfs://data',
        mountpoint,
        '--log-file',
        state.log,
        ...cacheFlags,
        ...flags,
      ]
      await run(process.execPath, [cli, ...args], { env })
      return mountpoint
    },
    // Without write-back close(2) and fsync(2) return when the service has it.
    flush: async (paths) => {
      if (flags.includes('--write-back')) await server.waitForWrites(paths)
    },
    pid: (mountpoint) => processWith(mountpoint, 'node'),
    async unmount(mountpoint) {
      await run(process.execPath, [cli, 'unmount', mountpoint], { env })
      rmSync(mountpoint, { recursive: true, force: true })
    },
    forget: () => cache && rmSync(join(directory, cache), { recursive: true, force: true }),
  }
}

export function rcloneDrive(server, { directory, name = 'rclone', mode = 'full' }) {
  const config = join(directory, 'rclone.conf')
  const cache = join(directory, 'rclone-cache')
  writeFileSync(config, '')
  const env = {
    PATH: process.env.PATH,
    HOME: directory,
    RCLONE_CONFIG: config,
    RCLONE_AZUREBLOB_SAS_URL: `${server.endpoint}/data?${server.signature}`,
    RCLONE_CA_CERT: server.caFile,
  }
  const flags = ['--vfs-cache-mode', mode, '--cache-dir', cache, '--vfs-write-back', '0s']
  return {
    name,
    // A `git clone` finds its own config.lock still there, now and then.
    mayFail: true,
    async mount() {
      const mountpoint = mkdtempSync(join(directory, 'mnt-'))
      mkdirSync(cache, { recursive: true })
      const args = [
        'mount',
        '--daemon',
        '--attr-timeout',
        '1s',
        ...flags,
        ':azureblob:data',
        mountpoint,
      ]
      await run('rclone', args, { env })
      return mountpoint
    },
    // It uploads after close(2): durable is when the service has the new version.
    flush: (paths) => server.waitForWrites(paths),
    pid: (mountpoint) => processWith(mountpoint, 'rclone'),
    async unmount(mountpoint) {
      await unmountWhenIdle(mountpoint)
      rmSync(mountpoint, { recursive: true, force: true })
    },
    forget: () => rmSync(cache, { recursive: true, force: true }),
  }
}

/** A directory of the local file system that holds the same: what a drive can at best be. */
export function localDirectory(path) {
  return {
    name: 'local',
    mount: async () => path,
    flush: async () => undefined,
    pid: () => undefined,
    unmount: async () => undefined,
    forget: () => undefined,
  }
}

async function unmountWhenIdle(mountpoint) {
  for (let i = 0; i < 50; i++) {
    try {
      return await run('umount', [mountpoint])
    } catch {
      await delay(100)
    }
  }
  await run('umount', ['-l', mountpoint])
}

function processWith(argument, program) {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const words = readFileSync(`/proc/${entry}/cmdline`, 'latin1').split('\0')
      if (words[0].includes(program) && words.includes(argument)) return Number(entry)
    } catch {
      // It ended while it was looked at.
    }
  }
  return undefined
}

/** Resident MiB of a process; NaN when it is not known. */
export function residentMiB(pid) {
  if (pid === undefined) return Number.NaN
  const line = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))
  return Number(line?.[1]) / 1024
}
