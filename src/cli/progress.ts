import { formatBytes } from './output.ts'

/** How far a transfer is; all its files together. */
export interface ProgressTotals {
  readonly bytes: number
  readonly totalBytes: number
  readonly files: number
  readonly totalFiles: number
}

/** Shows how far a transfer is, where a person looks at it. */
export interface ProgressBar {
  update(progress: ProgressTotals): void
  /** Removes the bar. */
  stop(): void
}

/** A bar on `stream`; one that shows nothing, for which no package is loaded, when that is no terminal. */
export async function openProgress(stream: NodeJS.WriteStream): Promise<ProgressBar> {
  if (!stream.isTTY) return { update: () => undefined, stop: () => undefined }
  const { SingleBar } = await import('cli-progress')
  const bar = new SingleBar({
    stream,
    format: '{bar} {percentage}%  {done} of {all}  {files} files  {duration_formatted}',
    barsize: 30,
    clearOnComplete: true,
    hideCursor: true,
    etaBuffer: 50,
  })
  let started = false
  return {
    update: (progress) => {
      if (!started) bar.start(progress.totalBytes, 0, fieldsOf(progress))
      started = true
      bar.update(progress.bytes, fieldsOf(progress))
    },
    stop: () => bar.stop(),
  }
}

function fieldsOf({ bytes, totalBytes, files, totalFiles }: ProgressTotals): object {
  return {
    done: formatBytes(bytes),
    all: formatBytes(totalBytes),
    files: `${files}/${totalFiles}`,
  }
}
