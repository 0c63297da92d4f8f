import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from '../measure.mjs'
import { buildBlobServer, startBlobServer } from './blob-server.mjs'
import { startLatentSandbox } from './latent-sandbox.mjs'

/**
 * The server of blob-server.cc in the place of the sandbox's, which lends the credentials that it does not
 * look at. For reading alone: it keeps sizes and serves bytes of its own.
 */
export async function startPlainServer({ directory, tls }) {
  const sandbox = await startLatentSandbox({ directory, latencyMs: 0 })
  const server = await startBlobServer(buildBlobServer(directory), { directory, tls })
  const endpoint = server.endpoint.replace(/[^/]+$/, sandbox.account)
  const caFile = join(directory, 'authorities.pem')
  const authorities = [sandbox.caFile, server.caFile].filter(Boolean)
  writeFileSync(caFile, authorities.map((file) => readFileSync(file, 'utf8')).join('\n'))
  const environment = {
    ...sandbox.environment,
    ABFS_BLOB_ENDPOINT: endpoint,
    ABFS_CA_FILE: caFile,
    NODE_EXTRA_CA_CERTS: caFile,
  }
  return {
    ...sandbox,
    endpoint,
    caFile,
    environment,
    counts: server.counts,
    reset: server.reset,
    /** Makes the blob `huge/directory-000000/file-00000000`. */
    fillHuge: (sizeMiB) =>
      server.fill({ prefix: 'data/huge/', count: 1, per: 1, size: sizeMiB * 2 ** 20 }),
    upload: (source, cli) =>
      run(process.execPath, [cli, 'cp', '-r', '--quiet', `${source}/`, 'abfs://data'], {
        env: { ...environment, PATH: process.env.PATH },
      }),
    async close() {
      await server.close()
      await sandbox.close()
    },
  }
}
