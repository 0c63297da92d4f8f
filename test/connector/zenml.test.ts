import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { startSandboxConnector } from '../support/sandbox-connector.ts'

/* ZenML's client from PyPI, unmodified, against the façade. ZENML_PYTHON names an interpreter that has it. */

const run = promisify(execFile)
const python = process.env['ZENML_PYTHON'] ?? process.env['PYTHON'] ?? 'python3'
const find = 'from importlib.util import find_spec as f; assert f("zenml") and f("adlfs")'
const hasZenml = await run(python, ['-c', find]).then(
  () => true,
  () => false,
)
const skip = hasZenml ? false : 'needs the Python packages zenml and adlfs (ZENML_PYTHON names one)'

t.test('ZenML’s client registers, verifies, lists and gets a client', { skip }, async (t) => {
  const azure = await startSandboxConnector(t, {
    editYaml: (yaml) => yaml.replace('container: "*"', 'container: data'),
  })
  const program = fileURLToPath(new URL('../support/zenml-client.py', import.meta.url))

  const { stdout } = await run(
    python,
    [program, azure.client['ABFS_CONNECTOR_URL'] ?? '', 'data'],
    {
      env: {
        PATH: process.env['PATH'],
        HOME: t.testdir(),
        ZENML_CONFIG_PATH: t.testdir(),
        ZENML_STORE_API_KEY: azure.key,
        ABFS_SANDBOX_ACCOUNT: azure.sandbox.account,
      },
    },
  )

  const { account } = azure.sandbox
  t.match(JSON.parse(stdout.trim().split('\n').at(-1) ?? ''), {
    types: ['azure'],
    listed: [`abfs-${account}`],
    registered: 'data',
    verified: ['az://data'],
    client: {
      auth_method: 'implicit',
      resource_id: 'az://data',
      configuration: { storage_account: account },
      expires_at: null,
    },
    resources: ['az://data'],
    instance: ['AzureServiceConnector', 'implicit'],
    left: [`abfs-${account}`],
  })
})
