import type { FileSystemStatistics } from './operations.ts'

/** A store without a size: one pebibyte, all of it free. */
export const boundlessRoom: FileSystemStatistics = {
  blockBytes: 2 ** 20,
  totalBlocks: 2 ** 30,
  freeBlocks: 2 ** 30,
  availableBlocks: 2 ** 30,
  totalFiles: 2 ** 30,
  freeFiles: 2 ** 30,
  maxNameBytes: 255,
}
