import { FileSystemError } from '../errors.ts'
import { joinName } from './tree-view.ts'

/** `container/path` of a path that is relative to the directory `root`. `EINVAL` for one that leaves it. */
export function innerName(root: string, path: string, syscall: string): string {
  const relative = path.replace(/^\/+/, '')
  const segments = relative.split('/')
  if (relative.includes('://') || segments.includes('..') || segments.includes('.')) {
    const detail = 'expected a path relative to the directory, without "." and ".." segments'
    throw new FileSystemError('EINVAL', syscall, { path, detail })
  }
  return joinName(root, relative)
}
