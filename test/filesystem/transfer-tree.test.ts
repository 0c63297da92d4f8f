import t from 'tap'
import { fsspecMatrix } from '../conformance/fsspec-matrix.ts'
import { memoryFileSystem } from '../support/file-system.ts'

fsspecMatrix(t, async () => ({ ...(await memoryFileSystem()), root: 'box' }))
