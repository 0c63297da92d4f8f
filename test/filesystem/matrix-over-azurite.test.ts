/** The same matrix on Azurite: one container, a directory for each case. */
import t from 'tap'
import { fsspecMatrix } from '../conformance/fsspec-matrix.ts'
import { azuriteFileSystem } from '../support/azurite-file-system.ts'

const fs = await azuriteFileSystem(t)
let cases = 0

fsspecMatrix(t, async () => {
  cases += 1
  return { fs, root: `box/case-${cases}` }
})
