import type { BlobPath } from '../path.ts'

/** Throws EINVAL or ENAMETOOLONG when `path` cannot be a file or directory on Azure. */
export function checkPath(_path: BlobPath, _syscall: string): void {
  throw new Error('not written')
}
