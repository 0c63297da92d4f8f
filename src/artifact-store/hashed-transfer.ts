import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { MiB } from '../byte-range.ts'
import { FileSystemError } from '../errors.ts'
import type { AzureBlobFileSystem } from '../filesystem/azure-blob-file-system.ts'
import { onLocalDisk } from '../filesystem/local-error.ts'

/** What the bytes of a file are. `sha256` is hexadecimal. */
export interface Digest {
  readonly sizeBytes: number
  readonly sha256: string
}

export interface HashedOptions {
  readonly signal?: AbortSignal | undefined
  readonly onBytes?: ((bytes: number) => void) | undefined
}

/** Uploads `source` and tells what it was; `metadataOf` gives the file's metadata from that. */
export async function uploadHashed(
  fileSystem: AzureBlobFileSystem,
  to: { readonly path: string; readonly mode: 'w' | 'x' },
  source: AsyncIterable<Uint8Array>,
  options: HashedOptions & { readonly metadataOf?: (digest: Digest) => Record<string, string> },
): Promise<Digest> {
  const { signal } = options
  const hash = createHash('sha256')
  await using writer = await fileSystem.open(to.path, to.mode, { signal })
  for await (const data of source) {
    signal?.throwIfAborted()
    hash.update(data)
    await writer.write(data)
    options.onBytes?.(data.byteLength)
  }
  const digest = { sizeBytes: writer.size, sha256: hash.digest('hex') }
  await writer.close({ metadata: options.metadataOf?.(digest) ?? {} })
  return digest
}

/** Downloads to a local file that does not exist yet. `EIO` when the bytes are not the expected. */
export async function downloadHashed(
  fileSystem: AzureBlobFileSystem,
  from: { readonly path: string; readonly expected: Digest },
  local: { readonly path: string; readonly mode?: number },
  options: HashedOptions,
): Promise<void> {
  const file = await onLocalDisk(local.path, () => open(local.path, 'wx'))
  try {
    const digest = await receive(fileSystem, from.path, file, options)
    checkDigest(from.path, digest, from.expected)
    const { mode } = local
    if (mode !== undefined) await onLocalDisk(local.path, () => file.chmod(mode))
  } finally {
    await file.close()
  }
}

/** `EIO` when the two differ. */
export function checkDigest(path: string, found: Digest, expected: Digest): void {
  if (found.sizeBytes === expected.sizeBytes && found.sha256 === expected.sha256) return
  throw new FileSystemError('EIO', 'artifact.load', {
    path,
    detail:
      `the file is not what was saved: ${found.sizeBytes} bytes with sha256 ${found.sha256}, ` +
      `expected ${expected.sizeBytes} with ${expected.sha256}`,
  })
}

/** What `data` is. */
export function digestOf(data: Uint8Array): Digest {
  const sha256 = createHash('sha256').update(data).digest('hex')
  return { sizeBytes: data.byteLength, sha256 }
}

/** The bytes of a local file, 1 MiB at a time; each piece is used up before the next. */
export async function* localBytes(path: string): AsyncGenerator<Uint8Array, void> {
  const file = await onLocalDisk(path, () => open(path, 'r'))
  try {
    const buffer = Buffer.allocUnsafeSlow(MiB)
    for (;;) {
      const { bytesRead } = await onLocalDisk(path, () => file.read(buffer, 0, MiB, null))
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } finally {
    await file.close()
  }
}

async function receive(
  fileSystem: AzureBlobFileSystem,
  path: string,
  file: FileHandle,
  options: HashedOptions,
): Promise<Digest> {
  const hash = createHash('sha256')
  await using reader = await fileSystem.open(path, 'r', { signal: options.signal })
  for await (const data of reader) {
    options.signal?.throwIfAborted()
    hash.update(data)
    await onLocalDisk(path, () => file.writeFile(data))
    options.onBytes?.(data.byteLength)
  }
  return { sizeBytes: reader.size, sha256: hash.digest('hex') }
}
