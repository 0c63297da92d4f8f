import t from 'tap'
import { azuriteFileSystem } from '../support/azurite-file-system.ts'
import { demandSuites, pythonWithFsspec, whyNoPython } from '../support/fsspec-suite.ts'

const python = await pythonWithFsspec()
const skip = python === '' && whyNoPython

t.test('fsspec’s suites pass on Azurite', { skip }, async (t) => {
  const fs = await azuriteFileSystem(t)
  const suites = [
    { file: 'test_abstract_suite.py', passed: 137 },
    { file: 'test_posix_glob.py', passed: 55, skipped: 1 },
  ]
  // Names with a backslash are refused, as the service would change them.
  await demandSuites(t, fs, { python, suites, refused: '\\' })
})
