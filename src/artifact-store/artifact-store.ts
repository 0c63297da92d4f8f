/** Bytes, or where they come from: a path on this machine (a file or a directory), or a stream. */
export type ArtifactSource = string | URL | Uint8Array | AsyncIterable<Uint8Array>

export interface ArtifactOptions {
  readonly signal?: AbortSignal | undefined
}

export interface SaveOptions extends ArtifactOptions {
  /** Whether an artifact of that name may be replaced. Default false: `EEXIST`. */
  readonly overwrite?: boolean | undefined
  readonly onProgress?: ((progress: ArtifactProgress) => void) | undefined
}

export interface LoadOptions extends ArtifactOptions {
  /** Whether what stands at the local path may be replaced. Default false: `EEXIST`. */
  readonly overwrite?: boolean | undefined
  readonly onProgress?: ((progress: ArtifactProgress) => void) | undefined
}

/** How far a save or load has come. */
export interface ArtifactProgress {
  readonly bytes: number
  readonly totalBytes: number
  readonly files: number
  readonly totalFiles: number
}

/** One artifact. */
export interface ArtifactInfo {
  /** Relative to the root, with `/` between segments. */
  readonly name: string
  readonly kind: 'file' | 'directory'
  /** Bytes of all its files. */
  readonly sizeBytes: number
  /** How many files it has: 1 for a file. */
  readonly fileCount: number
  /** Hexadecimal; `undefined` for directories, whose files have one each. */
  readonly sha256: string | undefined
  readonly savedAt: Date
}

/**
 * Files and directories kept by name below a root. A name is one or more segments with `/` between
 * them. What is saved appears whole or not at all; what is loaded has been checked against the
 * hashes that were taken when it was saved. No name leads out of the root:
 * `ArtifactPathError`.
 */
export interface ArtifactStore {
  /** `EEXIST` unless it may be overwritten; `EINVAL` when it would lie inside another artifact. */
  save(name: string | URL, source: ArtifactSource, options?: SaveOptions): Promise<ArtifactInfo>
  /** Writes the artifact to `localPath`, whole or not at all; `ENOENT`, `EEXIST`, `EIO` when damaged. */
  load(name: string | URL, localPath: string | URL, options?: LoadOptions): Promise<ArtifactInfo>
  /** The bytes of a file artifact; `EISDIR` for a directory. */
  loadBytes(name: string | URL, options?: ArtifactOptions): Promise<Uint8Array>
  /** All artifacts at or below `prefix`, by name. */
  list(prefix?: string | URL, options?: ArtifactOptions): Promise<ArtifactInfo[]>
  /** What is known of one artifact; `ENOENT`. */
  info(name: string | URL, options?: ArtifactOptions): Promise<ArtifactInfo>
  /** Whether there is a complete artifact of that name. */
  exists(name: string | URL, options?: ArtifactOptions): Promise<boolean>
  /** Deletes one artifact; `ENOENT` when there is none. */
  delete(name: string | URL, options?: ArtifactOptions): Promise<void>
}
