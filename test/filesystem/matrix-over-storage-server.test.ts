/** The same matrix on a hierarchical account of the local storage server: a directory for each case. */
import t from 'tap'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { fsspecMatrix } from '../conformance/fsspec-matrix.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { hierarchicalServer } from '../support/hierarchical-server.ts'

const clock = new FakeClock()
const account = await hierarchicalServer(t, { clock, account: 'acct' })
await account.store.createContainer('box')
const fs = new AzureBlobFileSystem({ ...account, clock })
let cases = 0

fsspecMatrix(t, async () => {
  cases += 1
  return { fs, root: `box/case-${cases}` }
})
