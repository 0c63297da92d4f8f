import { write as writeFile, writeSync } from 'node:fs'

/** How bytes reach files; both return how many were written, from the first on. */
export interface FileCalls {
  writeSync(fd: number, data: Uint8Array, position: number): number
  write(fd: number, data: Uint8Array, position: number): Promise<number>
}

/** The operating system's. */
export const systemFiles: FileCalls = {
  writeSync: (fd, data, position) => writeSync(fd, data, 0, data.byteLength, position),
  write: (fd, data, position) =>
    new Promise((resolve, reject) => {
      writeFile(fd, data, 0, data.byteLength, position, (error, written) => {
        if (error === null) resolve(written)
        else reject(error)
      })
    }),
}

/** Writes all of `data` at `position`, or throws. */
export function writeAllSync(
  files: FileCalls,
  fd: number,
  { data, position }: { readonly data: Uint8Array; readonly position: number },
): void {
  let done = 0
  while (done < data.byteLength) {
    done += files.writeSync(fd, data.subarray(done), position + done)
  }
}

/** Writes all of `data` at `position`, or rejects. */
export async function writeAll(
  files: FileCalls,
  fd: number,
  { data, position }: { readonly data: Uint8Array; readonly position: number },
): Promise<void> {
  let done = 0
  while (done < data.byteLength) {
    done += await files.write(fd, data.subarray(done), position + done)
  }
}
