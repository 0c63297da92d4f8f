import type { FileHandle } from 'node:fs/promises'

/** Writes all of `data` at `offset`: one call of the system may take only a part. */
export async function writeFully(
  file: FileHandle,
  data: Uint8Array,
  offset: number,
): Promise<void> {
  for (let done = 0; done < data.byteLength; ) {
    const length = data.byteLength - done
    done += (await file.write(data, done, length, offset + done)).bytesWritten
  }
}
