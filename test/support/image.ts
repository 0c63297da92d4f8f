import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

/** Writes a container image of one empty layer as skopeo's `dir:` transport reads it. */
export async function writeImage(directory: string): Promise<void> {
  const layer = gzipSync(Buffer.alloc(1024))
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: [`sha256:${hexOf(Buffer.alloc(1024))}`] },
    }),
  )
  const kind = 'application/vnd.oci.image'
  const manifest = {
    schemaVersion: 2,
    mediaType: `${kind}.manifest.v1+json`,
    config: descriptor(`${kind}.config.v1+json`, config),
    layers: [descriptor(`${kind}.layer.v1.tar+gzip`, layer)],
  }
  await writeFile(join(directory, 'version'), 'Directory Transport Version: 1.1\n')
  await writeFile(join(directory, 'manifest.json'), JSON.stringify(manifest))
  await writeFile(join(directory, hexOf(layer)), layer)
  await writeFile(join(directory, hexOf(config)), config)
}

function descriptor(mediaType: string, bytes: Buffer): object {
  return { mediaType, size: bytes.length, digest: `sha256:${hexOf(bytes)}` }
}

function hexOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
