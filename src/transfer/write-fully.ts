/** What can be written to at any place; Node's `FileHandle` has it. */
export interface WritableAt {
  write(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>
}

/** Writes all of `data` at `position`: one call of the system may take only a part, as of a disk that fills. */
export async function writeFully(
  file: WritableAt,
  data: Uint8Array,
  position: number,
): Promise<void> {
  for (let done = 0; done < data.byteLength; ) {
    const length = data.byteLength - done
    done += (await file.write(data, done, length, position + done)).bytesWritten
  }
}
