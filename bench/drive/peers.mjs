import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { run } from '../measure.mjs'

const fsspecMount = fileURLToPath(new URL('../workers/mount_adlfs.py', import.meta.url))

/** A drive of a process that stays in the foreground. What it was given is durable when close(2) returns. */
function foregroundDrive(name, server, { directory, command }) {
  const env = {
    PATH: process.env.PATH,
    HOME: directory,
    ABFS_ACCOUNT: server.account,
    ABFS_BLOB_ENDPOINT: server.endpoint,
    BENCH_SAS: server.signature,
    ...(server.caFile === undefined ? {} : { SSL_CERT_FILE: server.caFile }),
  }
  const serving = { child: undefined }
  return {
    name,
    isPeer: true,
    async mount() {
      const mountpoint = mkdtempSync(join(directory, 'mnt-'))
      const [program, ...args] = command(mountpoint)
      serving.child = spawn(program, args, { env, stdio: 'ignore' })
      for (let i = 0; i < 200 && serving.child.exitCode === null; i++) {
        if (isMounted(mountpoint)) return mountpoint
        await delay(100)
      }
      serving.child.kill('SIGKILL')
      throw new Error(`${program} did not mount within 20 s`)
    },
    flush: async () => undefined,
    pid: () => serving.child.pid,
    /** What waits for the drive then ends with an error. */
    stop: () => serving.child.kill('SIGKILL'),
    async unmount(mountpoint) {
      if (isMounted(mountpoint)) await run('umount', ['-l', mountpoint])
      serving.child.kill('SIGKILL')
      rmSync(mountpoint, { recursive: true, force: true })
    },
    forget: () => undefined,
  }
}

/** Without touching it. */
function isMounted(mountpoint) {
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${mountpoint} `)
}

function fsspecDrive(server, { directory, peers }) {
  const python = join(peers, 'venv/bin/python')
  const command = (mountpoint) => [python, fsspecMount, 'data', mountpoint]
  return foregroundDrive('fsspec.fuse', server, { directory, command })
}

function ofsDrive(server, { directory, peers }) {
  const { account, endpoint, signature } = server
  const options = { container: 'data', endpoint, account_name: account, sas_token: signature }
  const backend = `azblob://?${new URLSearchParams(options)}`
  const command = (mountpoint) => [join(peers, 'bin/ofs'), mountpoint, backend]
  return foregroundDrive('ofs', server, { directory, command })
}

/** The drives of other libraries that the directory `peers` has; says what is missing. */
export function peerDrives(server, setup) {
  const { peers } = setup
  if (peers === undefined) return []
  const known = [
    ['venv/bin/python', fsspecDrive],
    ['bin/ofs', ofsDrive],
  ]
  return known.flatMap(([file, make]) => {
    if (existsSync(join(peers, file))) return [make(server, setup)]
    console.log(
      `without a peer: ${file} is not in ${peers}; bench/README.md tells how to install it`,
    )
    return []
  })
}
