import { execFile } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { run } from '../measure.mjs'

const execute = promisify(execFile)
const unchecked = 'sv=2025-01-05&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00:00:00Z&sig=YmVuY2g%3D'

export const workerOf = (name) => fileURLToPath(new URL(`../workers/${name}.mjs`, import.meta.url))

/** What a contender's process is told of the server. */
export function environmentOf(server, { directory, place, peers }) {
  return {
    PATH: process.env.PATH,
    HOME: directory,
    ABFS_ACCOUNT: server.account ?? 'bench',
    ABFS_BLOB_ENDPOINT: server.endpoint,
    BENCH_SAS: server.signature ?? unchecked,
    ...(peers === undefined ? {} : { BENCH_PEERS: peers }),
    ...(place ? { BENCH_CORE: '1' } : {}),
    ...(server.caFile === undefined
      ? {}
      : {
          ABFS_CA_FILE: server.caFile,
          NODE_EXTRA_CA_CERTS: server.caFile,
          SSL_CERT_FILE: server.caFile,
        }),
  }
}

/**
 * Contenders of one server. `setup` has `directory`, where they may write, `place`, whether workers keep to
 * processor 1, and `peers`, the directory of other libraries.
 */
export function contendersOf(server, setup) {
  const env = environmentOf(server, setup)

  /** A process that times itself after it has warmed up, and tells so in one line of JSON. */
  function worker([program, ...args], name, job, options) {
    return {
      name,
      async work() {
        const all = [...args, job, JSON.stringify(options)]
        const { stdout } = await execute(program, all, { env, maxBuffer: 2 ** 24 })
        return JSON.parse(stdout)
      },
    }
  }

  const ours = (name, job, options) =>
    worker([process.execPath, '--expose-gc', workerOf(name)], name, job, options)

  function rclone(args) {
    const config = join(setup.directory, 'rclone.conf')
    writeFileSync(config, '')
    const sasUrl = `${server.endpoint}/data?${env.BENCH_SAS}`
    const own = { ...env, RCLONE_CONFIG: config, RCLONE_AZUREBLOB_SAS_URL: sasUrl }
    if (server.caFile !== undefined) own.RCLONE_CA_CERT = server.caFile
    return { name: 'rclone', work: () => run('rclone', args, { env: own }) }
  }

  const peer = ({ name, command }, job, options) => ({
    ...worker(command, name, job, options),
    isPeer: true,
  })

  return { ours, peer, rclone }
}

/** The same work again with a whole process timed, for comparison with other programs. */
export function whole(contender) {
  return { name: `${contender.name} (process)`, work: async () => void (await contender.work()) }
}

/** With an empty directory `path` before each run. */
export function emptied(path, contender) {
  const prepare = () => {
    rmSync(path, { recursive: true, force: true })
    mkdirSync(path, { recursive: true })
  }
  return { ...contender, prepare }
}
