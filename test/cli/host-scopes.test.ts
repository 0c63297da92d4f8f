import t from 'tap'
import { failsWith, runAbfs, type Variables, whyNoCli } from '../support/cli.ts'
import { type SandboxConnector, startSandboxConnector } from '../support/sandbox-connector.ts'

for (const kind of ['bearer', 'sas'] as const) {
  t.test(`with a ${kind} for each host`, { skip: whyNoCli() }, async (t) => {
    const azure = await startSandboxConnector(t, {
      account: { name: 'lake', hierarchical: true },
      perAccountAudiences: true,
      editYaml: (yaml) => yaml.replace(/- sas\n +- bearer\n/, `- ${kind}\n`),
    })
    const env = hostStyle(azure)
    const abfs = (...argv: string[]) => runAbfs(argv, { env })

    const results = [
      await runAbfs(['cp', '-', 'abfs://data/dir/file'], { env, input: 'content' }),
      await abfs('mv', 'abfs://data/dir', 'abfs://data/moved'),
      await abfs('acl', 'mode', '750', 'abfs://data/moved'),
      await abfs('cat', 'abfs://data/moved/file'),
      await abfs('rm', '-r', 'abfs://data/moved'),
    ]

    for (const { code, stderr } of results) t.equal(code, 0, stderr)
    t.equal(results[3]?.stdout, 'content')
    const granted = azure.audit.records.filter(({ decision }) => decision === 'granted')
    t.ok(granted.every((record) => record.kind === kind))
    t.strictSame([...new Set(granted.map((record) => record.granted?.service))].sort(), [
      'blob',
      'dfs',
    ])
    const access = granted.filter(({ granted }) => granted?.permissions.includes('permissions'))
    t.strictSame(
      access.map(({ granted }) => granted?.permissions),
      [['permissions']],
    )
    const entries = azure.sandbox.storageControl?.ledger.entries() ?? []
    t.strictSame(
      entries.filter(({ status }) => status === 401 || status === 403),
      [],
    )
    t.ok(entries.some(({ face }) => face === 'dfs') && entries.some(({ face }) => face === 'blob'))
  })
}

t.test('a token for the wrong host is refused', { skip: whyNoCli() }, async (t) => {
  const azure = await startSandboxConnector(t, {
    account: { name: 'lake', hierarchical: true },
    perAccountAudiences: true,
    editYaml: (yaml) => yaml.replace(/- sas\n +- bearer\n/, '- bearer\n'),
  })
  const { ABFS_BLOB_ENDPOINT: blob = '', ...env } = hostStyle(azure)
  // The dfs host under the name of the blob endpoint: what is sent there is a token for blob.
  const crossed = { ...env, ABFS_BLOB_ENDPOINT: env['ABFS_DFS_ENDPOINT'] ?? '', ABFS_HNS: 'true' }

  const right = await runAbfs(['ls', 'abfs://data'], { env: { ...env, ABFS_BLOB_ENDPOINT: blob } })
  const wrong = await runAbfs(['ls', 'abfs://data'], { env: crossed })

  t.equal(right.code, 0, right.stderr)
  failsWith(t, wrong, { code: 4, line: /EACCES/ })
  t.notMatch(wrong.stderr, /Bearer|eyJ/)
})

t.test('a policy without the rights to access lists says so', { skip: whyNoCli() }, async (t) => {
  const azure = await startSandboxConnector(t, {
    account: { name: 'lake', hierarchical: true },
    editYaml: (yaml) => yaml.replace(/ +- (ownership|permissions)\n/g, ''),
  })
  const { client: env } = azure
  await runAbfs(['cp', '-', 'abfs://data/file'], { env, input: 'content' })

  const read = await runAbfs(['acl', 'get', 'abfs://data/file'], { env })
  const refused = await runAbfs(['acl', 'mode', '600', 'abfs://data/file'], { env })

  t.equal(read.code, 0, read.stderr)
  failsWith(t, refused, { code: 4, line: /EACCES.*is not granted permissions on container 'data'/ })
})

/** The same account by a host name for each face. */
function hostStyle({ sandbox, client }: SandboxConnector): Variables {
  const { port } = sandbox.blobEndpoint
  return {
    ...client,
    ABFS_BLOB_ENDPOINT: `https://lake.blob.localhost:${port}`,
    ABFS_DFS_ENDPOINT: `https://lake.dfs.localhost:${port}`,
  }
}
