import t from 'tap'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { hierarchicalMemory, memoryFileSystem } from '../support/file-system.ts'
import { demandSuites, pythonWithFsspec, whyNoPython } from '../support/fsspec-suite.ts'

const python = await pythonWithFsspec()
const skip = python === '' && whyNoPython
// Names with a backslash are refused, as the service would change them.
const suites = [
  { file: 'test_abstract_suite.py', passed: 137 },
  { file: 'test_posix_glob.py', passed: 55, skipped: 1 },
  { file: 'test_against_local.py', passed: 1157 },
]

t.test('fsspec’s suites pass on a flat account in memory', { skip }, async (t) => {
  const { fs } = await memoryFileSystem()
  await demandSuites(t, fs, { python, suites, refused: '\\' })
})

t.test('fsspec’s suites pass on a hierarchical account in memory', { skip }, async (t) => {
  const { store, hierarchyOf } = await hierarchicalMemory(new FakeClock())
  await store.createContainer('box')
  await demandSuites(t, new AzureBlobFileSystem({ store, hierarchyOf }), {
    python,
    suites,
    refused: '\\',
  })
})
