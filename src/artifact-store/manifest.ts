import { FileSystemError } from '../errors.ts'

/** One file of a directory artifact. Names are relative to the artifact. */
export interface ManifestFile {
  readonly name: string
  readonly sizeBytes: number
  /** Hexadecimal. */
  readonly sha256: string
  /** Permission bits. */
  readonly mode: number
}

/** What belongs to a directory artifact. */
export interface Manifest {
  readonly version: 1
  /** The directory below the artifact's own that its files lie in. */
  readonly generation: string
  readonly files: readonly ManifestFile[]
  /** Directories that hold no file. */
  readonly directories: readonly string[]
  readonly links: readonly { readonly name: string; readonly target: string }[]
}

/** The bytes that are stored. */
export function formatManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(manifest, undefined, 2)}\n`)
}

/** `EIO` for bytes that are not a manifest of `path`. */
export async function parseManifest(data: Uint8Array, path: string): Promise<Manifest> {
  // Only who loads an artifact pays for reading what checks it.
  const { manifestSchema } = await import('./manifest-schema.ts')
  try {
    return manifestSchema.parse(JSON.parse(new TextDecoder().decode(data)))
  } catch (cause) {
    throw damaged(path, cause)
  }
}

function damaged(path: string, cause: unknown): FileSystemError {
  const detail = 'the manifest is damaged; save the artifact again'
  return new FileSystemError('EIO', 'artifact.load', { path, detail, cause })
}
