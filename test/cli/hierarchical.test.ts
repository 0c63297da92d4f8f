import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import {
  failsWith,
  runAbfs,
  startCliSandbox,
  temporaryDirectory,
  type Variables,
  whyNoCli,
} from '../support/cli.ts'
import { temporaryMountpoint, whyNoMounts } from '../support/temp-mount.ts'

const run = promisify(execFile)
const shell = (script: string, cwd?: string) =>
  run('bash', ['-ec', script], { cwd, timeout: 60_000 }).then(({ stdout }) => stdout)
const somebody = '11111111-1111-1111-1111-111111111111'

t.test('a hierarchical account by the command line', { skip: whyNoCli() }, async (t) => {
  const { client, variables } = await startCliSandbox(t, '--hns', '--control-port', '0')
  const env = { ...client, XDG_STATE_HOME: await temporaryDirectory(t) }
  const abfs = (...argv: string[]) => runAbfs(argv, { env })
  const ledger = ledgerOf(variables)
  const source = await oddTree(t)

  t.test('a tree goes in, moves in one step and comes back as it was', async (t) => {
    const target = join(await temporaryDirectory(t), 'back')
    t.equal((await abfs('cp', '-r', source, 'abfs://data/tree')).code, 0)

    await ledger.clear()
    const moved = await abfs('mv', 'abfs://data/tree', 'abfs://data/moved')
    const requests = await ledger.counts()

    t.equal(moved.code, 0, moved.stderr)
    t.equal(requests['Path - Rename'], 1)
    t.notOk(requests['CopyBlob'] ?? requests['PutBlob'])
    t.equal((await abfs('cp', '-r', 'abfs://data/moved', target)).code, 0)
    t.equal(await shell(contents, target), await shell(contents, source))
    t.equal((await abfs('rm', '-r', 'abfs://data/moved')).code, 0)
    t.equal((await abfs('stat', 'abfs://data/moved')).code, 3)
  })

  t.test('an empty directory stays when its last file goes', async (t) => {
    await abfs('mkdir', '-p', 'abfs://data/kept/inner')
    await runAbfs(['cp', '-', 'abfs://data/kept/inner/file'], { env, input: 'x' })
    await abfs('rm', 'abfs://data/kept/inner/file')

    const listed = await abfs('ls', 'abfs://data/kept')

    t.equal(listed.stdout, 'inner/\n')
  })

  t.test('access lists are read and changed, for a whole tree', async (t) => {
    await abfs('mkdir', '-p', 'abfs://data/shared/inner')
    await runAbfs(['cp', '-', 'abfs://data/shared/inner/file'], { env, input: 'x' })

    const updated = await abfs('acl', 'update', '-R', `user:${somebody}:r-x`, 'abfs://data/shared')
    const listed = await abfs('acl', 'get', 'abfs://data/shared/inner/file')
    const removed = await abfs('acl', 'remove', '-R', `user:${somebody}`, 'abfs://data/shared')
    const owned = await abfs('acl', 'owner', `${somebody}:`, 'abfs://data/shared')
    const mode = await abfs('acl', 'mode', '751', 'abfs://data/shared')
    const after = await abfs('acl', 'get', '--json', 'abfs://data/shared')

    for (const { code, stderr } of [updated, removed, owned, mode]) t.equal(code, 0, stderr)
    t.match(updated.stdout, /2 directories, 1 file\n$/)
    t.match(listed.stdout, new RegExp(`user:${somebody}:r-x`))
    t.match(JSON.parse(after.stdout), { owner: somebody, permissions: 'rwxr-x--x' })
  })

  t.test('artifacts are kept there', async (t) => {
    const target = join(await temporaryDirectory(t), 'loaded')
    const root = ['--root', 'abfs://data/artifacts']

    t.equal((await abfs('artifact', 'save', ...root, 'run 1/tree', source)).code, 0)
    t.equal((await abfs('artifact', 'load', ...root, 'run 1/tree', target)).code, 0)

    t.equal(await shell(contents, target), await shell(contents, source))
  })

  t.test('a drive on it', { skip: whyNoMounts() }, async (t) => {
    const directory = await temporaryMountpoint(t)
    t.equal((await abfs('mount', 'abfs://data', directory)).code, 0)
    await shell(`chmod 751 deep; touch -d '2003-04-05 06:07:08.25' deep/er deep empty`, source)
    await shell(`cp -a '${source}' '${directory}/copied'`)

    await ledger.clear()
    await shell(`mv '${directory}/copied' '${directory}/renamed'`)
    const requests = await ledger.counts()
    t.equal((await abfs('unmount', directory)).code, 0)
    t.equal((await abfs('mount', 'abfs://data', directory)).code, 0)
    const found = await shell(attributes, `${directory}/renamed`)
    await shell(`mkdir '${directory}/empty'; rm -r '${directory}/renamed'`)
    const left = await shell(`ls '${directory}'`)
    const unmounted = await abfs('unmount', directory)

    t.equal(requests['Path - Rename'], 1)
    t.notOk(requests['CopyBlob'] ?? requests['DeleteBlob'])
    t.equal(found, await shell(attributes, source))
    t.match(left, /^empty$/m)
    t.notMatch(left, /renamed|copied/)
    t.equal(unmounted.code, 0, unmounted.stderr)
  })
})

t.test('several accounts of both kinds', { skip: whyNoCli() }, async (t) => {
  const flags = ['--account', 'lake:hns', '--account', 'plain:flat', '--control-port', '0']
  const { client, variables } = await startCliSandbox(t, ...flags)
  const other = variables['ABFS_BLOB_ENDPOINT']?.replace(/lake$/, 'plain') ?? ''
  const plain = { ...client, ABFS_ACCOUNT: 'plain', ABFS_BLOB_ENDPOINT: other }
  const ledger = ledgerOf(variables)

  for (const [env, renames, copies] of [
    [client, 1, undefined],
    [plain, undefined, 1],
  ] as const) {
    const made = await runAbfs(['cp', '-', 'abfs://data/dir/file'], { env, input: 'x' })
    await ledger.clear()
    const moved = await runAbfs(['mv', 'abfs://data/dir', 'abfs://data/moved'], { env })
    const requests = await ledger.counts()

    t.equal(made.code, 0, made.stderr)
    t.equal(moved.code, 0, moved.stderr)
    t.equal(requests['Path - Rename'], renames, env['ABFS_ACCOUNT'])
    t.equal(requests['CopyBlob'], copies, env['ABFS_ACCOUNT'])
  }
  const refused = await runAbfs(['acl', 'get', 'abfs://data/moved'], { env: plain })
  failsWith(t, refused, { code: refused.code ?? 0, line: /ENOTSUP.*flat/ })
})

/** Requests that a sandbox in another process answered. */
function ledgerOf(variables: Variables) {
  const url = new URL('ledger', variables['ABFS_SANDBOX_CONTROL_URL'])
  const authorization = `Bearer ${variables['ABFS_SANDBOX_CONTROL_SECRET']}`
  const ask = async (method: string): Promise<unknown> => {
    const response = await fetch(url, { method, headers: { authorization } })
    return response.json()
  }
  return {
    clear: () => ask('DELETE'),
    counts: async (): Promise<Record<string, number | undefined>> => {
      const { counters } = (await ask('GET')) as { counters: Record<string, { requests: number }> }
      return Object.fromEntries(
        Object.entries(counters).map(([verb, { requests }]) => [verb, requests]),
      )
    },
  }
}

const contents = `find . -type f | LC_ALL=C sort | while read -r name; do sha256sum "$name"; done`
const attributes = `find . -mindepth 1 -type d -printf '%P %m %T@\\n' -o -printf '%P %y %m %s %T@ %l\\n' | LC_ALL=C sort`

async function oddTree(t: Test): Promise<string> {
  const source = join(await temporaryDirectory(t), 'source')
  await mkdir(join(source, 'deep/er'), { recursive: true })
  await mkdir(join(source, 'empty'))
  for (const name of ['sp ace', '%41', 'größe 文件 🚀', '#h?q&a=b', `it's "quoted"`, 'a+b;c']) {
    await writeFile(join(source, 'deep', name), `content of ${name}`)
  }
  await writeFile(join(source, 'deep/er/larger'), Buffer.alloc(3_000_000, 'x'))
  await shell(`chmod 640 deep/sp*; touch -d '2001-02-03 04:05:06.5' deep/er/larger`, source)
  return source
}
