import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { startSandbox } from '../../src/sandbox/sandbox.ts'
import { azureStore } from '../support/azure-store.ts'
import { demandSuites, pythonWithFsspec, whyNoPython } from '../support/fsspec-suite.ts'
import { unsignedToken } from '../support/unsigned-token.ts'

const python = await pythonWithFsspec()
const skip = python === '' && whyNoPython

t.test('fsspec’s suites pass on Azurite', { skip }, async (t) => {
  const sandbox = await startSandbox({ containers: ['box'] })
  t.teardown(() => sandbox.close())
  const { account, caPem: ca, blobEndpoint: endpoint } = sandbox
  const provider = { getCredential: async () => unsignedToken(account, systemClock.nowMs()) }
  const { store, close } = azureStore({ account, endpoint, provider, ca })
  t.teardown(close)
  const suites = [
    { file: 'test_abstract_suite.py', passed: 137 },
    { file: 'test_posix_glob.py', passed: 55, skipped: 1 },
  ]
  // The service takes a backslash for a slash.
  await demandSuites(t, new AzureBlobFileSystem({ store }), { python, suites, refused: '\\' })
})
