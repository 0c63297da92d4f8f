import fc from 'fast-check'
import { test } from 'tap'
import { ConnectorError } from '../../src/connector/connector-error.ts'
import {
  formatResourceId,
  parseResourceId,
  type ResourceType,
} from '../../src/connector/resource-id.ts'

const cloud = 'core.windows.net'

function canonical(type: ResourceType, id: string): string {
  try {
    return formatResourceId(parseResourceId(type, id), cloud)
  } catch (error) {
    if (error instanceof ConnectorError && error.reason === 'path_invalid') return 'refused'
    throw error
  }
}

test('each spelling of a resource becomes one, and what names none is refused', async (t) => {
  const table: [ResourceType, string, string][] = [
    ['blob-container', 'az://data', 'az://data'],
    ['blob-container', 'abfs://data', 'az://data'],
    ['blob-container', 'data', 'az://data'],
    [
      'blob-container',
      'abfss://data@acct.dfs.core.windows.net',
      'abfss://data@acct.dfs.core.windows.net',
    ],
    [
      'blob-container',
      'abfss://data@acct.blob.core.windows.net/a/b/',
      'abfss://data@acct.dfs.core.windows.net/a/b',
    ],
    [
      'blob-container',
      'abfss://data@acct.dfs.core.windows.net/é',
      'abfss://data@acct.dfs.core.windows.net/é',
    ],
    ['blob-container', 'abfss://data@acct.dfs.core.windows.net/e\u0301', 'refused'],
    ['blob-container', 'abfss://data@acct.dfs.core.windows.net/a/../b', 'refused'],
    ['blob-container', 'abfss://data@acct.dfs.core.windows.net/a%2Fb', 'refused'],
    ['blob-container', 'abfss://data@acct.dfs.core.windows.net/%2e%2e/b', 'refused'],
    ['blob-container', 'abfss://data@acct.dfs.core.windows.net//a', 'refused'],
    ['blob-container', 'abfss://data@acct.dfs.core.windows.net/a./b', 'refused'],
    ['blob-container', 'abfss://data@acct.dfs.core.windows.net/a\\b', 'refused'],
    ['blob-container', 'abfss://x.evil.com/@acct.dfs.core.windows.net', 'refused'],
    ['blob-container', 'https://acct.blob.core.windows.net/data', 'refused'],
    ['blob-container', 'DATA', 'refused'],
    ['kubernetes-cluster', 'ML/Train', 'ml/train'],
    ['kubernetes-cluster', 'Train', 'train'],
    ['kubernetes-cluster', 'a/b/c', 'refused'],
    ['kubernetes-cluster', '../train', '../train'],
    ['docker-registry', 'https://Team5.azurecr.io/', 'team5.azurecr.io'],
    ['docker-registry', 'team5', 'team5.azurecr.io'],
    ['docker-registry', 'team5.azurecr.io.evil.com', 'refused'],
    ['docker-registry', 'evil.com', 'refused'],
    ['azure-generic', 'https://vault.azure.net/.default', 'https://vault.azure.net'],
    ['azure-generic', 'https://storage.azure.com', 'refused'],
    ['azure-generic', 'https://acct.blob.core.windows.net', 'refused'],
    ['azure-generic', 'https://*.azure.net', 'refused'],
    ['azure-generic', '*', 'refused'],
  ]
  for (const [type, id, expected] of table) {
    t.equal(canonical(type, id), expected, `${type} ${JSON.stringify(id)}`)
  }
})

test('a canonical id is its own canonical id, and no id names a path above its container', async (t) => {
  const seed = Number(process.env['ABFS_TEST_SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`seed ${seed}`)
  const part = fc.oneof(
    fc.constantFrom(
      '..',
      '.',
      '%2F',
      '%2e%2e',
      '//',
      'a.',
      'é',
      'e\u0301',
      '\u0000',
      '\ud800',
      'a',
      'b',
      ' ',
    ),
    fc.string({ unit: 'grapheme', maxLength: 5 }),
  )
  const path = fc.array(part, { maxLength: 6 }).map((parts) => parts.join('/'))
  fc.assert(
    fc.property(path, (below) => {
      const id = canonical('blob-container', `abfss://data@acct.dfs.core.windows.net/${below}`)
      if (id === 'refused') return true
      const url = new URL(encodeURI(id.replace('abfss:', 'https:')).replaceAll('%25', '%'))
      const stays = !url.pathname.includes('//') && !/%2f|%5c|%00/i.test(url.pathname)
      return canonical('blob-container', id) === id && stays && id === id.normalize('NFC')
    }),
    { seed, numRuns: 2000 },
  )
  t.pass()
})
