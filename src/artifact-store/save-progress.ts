import type { ArtifactProgress } from './artifact-store.ts'

/** Adds up what one save or load has moved, and tells it. */
export class SaveProgress {
  readonly #report: ((progress: ArtifactProgress) => void) | undefined
  readonly #total: { readonly bytes: number; readonly files: number }
  #bytes = 0
  #files = 0

  constructor(
    report: ((progress: ArtifactProgress) => void) | undefined,
    total: { readonly bytes: number; readonly files: number },
  ) {
    this.#report = report
    this.#total = total
  }

  addBytes(bytes: number): void {
    this.#bytes += bytes
    this.#tell()
  }

  addFile(): void {
    this.#files += 1
    this.#tell()
  }

  #tell(): void {
    const totalBytes = Math.max(this.#total.bytes, this.#bytes)
    const totalFiles = this.#total.files
    this.#report?.({ bytes: this.#bytes, totalBytes, files: this.#files, totalFiles })
  }
}
