import { copyCases } from './copy-cases.ts'
import type { ConformanceCase } from './file-system.ts'
import { listingCases } from './listing-cases.ts'
import { readingCases } from './reading-cases.ts'

export type { ConformanceCase, ConformanceFileSystem, ListedFile } from './file-system.ts'

/**
 * What a file system with fsspec's verbs has to do, case by case, for any test runner: give each `run`
 * the file system and an empty directory of its own, which need not exist; it rejects with an
 * `AssertionError` where the file system does something else.
 */
export const conformanceCases: readonly ConformanceCase[] = [
  ...listingCases,
  ...readingCases,
  ...copyCases,
]
