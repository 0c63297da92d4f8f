import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { createFileSystem } from '../../src/create-file-system.ts'
import type { AzureBlobFileSystem } from '../../src/filesystem/azure-blob-file-system.ts'
import { runAbfs, startCliSandbox, type Variables, whyNoCli } from '../support/cli.ts'
import { remoteFiles } from '../support/file-system.ts'

const isLong = process.env['ABFS_LONG_TESTS'] === '1'
const library = new URL('../../dist/index.js', import.meta.url).href

/** In a process of its own: commits a transaction, and is killed by itself when so many requests of that were answered. */
const client = `
import { subscribe } from 'node:diagnostics_channel'
import { createFileSystem } from ${JSON.stringify(library)}
const [lifetime] = process.argv.slice(1).map(Number)
const fs = await createFileSystem({ blockBytes: 4096, integrity: 'none' })
const large = 'x'.repeat(10240)
const tx = fs.startTransaction()
await tx.writeText('data/kept', 'after', { metadata: { kind: 'new' } })
await tx.writeText('data/grown', large + large)
await tx.writeText('data/new/a', 'one')
await tx.pipeFile('data/new/large', large, { mode: 'create' })
await tx.writeText('data/emptied', '')
await tx.mv('data/from', 'data/to')
await tx.rm(['data/dir/old', 'data/tree'], { recursive: true })
let answered = 0
subscribe('abfs:http', () => {
  answered += 1
  if (answered === lifetime) process.kill(process.pid, 'SIGKILL')
})
await tx.commit()
process.stdout.write(String(answered))
await fs.close()
`

const large = 'x'.repeat(10 * 1024)
const before = {
  kept: 'before',
  grown: large,
  'dir/old': 'goes',
  from: 'moved',
  'tree/x': 'x',
  'tree/deep/y': 'y',
  emptied: 'full',
}
const after = {
  kept: 'after',
  grown: `${large}${large}`,
  to: 'moved',
  'new/a': 'one',
  'new/large': large,
  emptied: '',
}
const sorted = (files: Record<string, string>) => JSON.stringify(Object.entries(files).sort())

/** How many requests the commit took; `undefined` for a process that was killed in the middle. */
async function commitIn(env: Variables, lifetime: number): Promise<number | undefined> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', client, String(lifetime)], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (data: Buffer) => {
    output += data.toString()
  })
  const [code, signal] = await once(child, 'close')
  if (signal === 'SIGKILL') return undefined
  if (code !== 0) throw new Error(`the client ended with ${code}`)
  return Number(output)
}

async function plant(fs: AzureBlobFileSystem): Promise<void> {
  fs.invalidateCache()
  await fs.rm('data/*', { recursive: true }).catch(() => undefined)
  for (const [name, text] of Object.entries(before)) await fs.writeText(`data/${name}`, text)
}

async function killAndRecover(t: Test, env: Variables): Promise<void> {
  await using fs = await createFileSystem({ environment: env, listingTtlMs: 0 })
  await plant(fs)
  const requests = await commitIn(env, Number.POSITIVE_INFINITY)
  t.equal(sorted(await remoteFiles(fs, 'data')), sorted(after))
  if (requests === undefined) throw new Error('nobody kills this one')
  const counts = { all: 0, none: 0, completed: 0 }
  for (let lifetime = 1; lifetime < requests; lifetime += isLong ? 1 : Math.ceil(requests / 3)) {
    await plant(fs)
    t.equal(await commitIn(env, lifetime), undefined)

    const recovered = await runAbfs(['recover', '--force', '--json', 'abfs://data'], { env })

    const results: { outcome: string }[] = JSON.parse(recovered.stdout)
    const found = sorted(await remoteFiles(fs, 'data'))
    const title = `killed after ${lifetime} of ${requests}: ${recovered.stdout.trim()}`
    t.equal(recovered.code, 0, recovered.stderr)
    t.ok(found === sorted(results.length > 0 ? after : before) || found === sorted(after), title)
    t.ok(
      results.every(({ outcome }) => outcome === 'completed'),
      title,
    )
    counts[found === sorted(after) ? 'all' : 'none'] += 1
    counts.completed += results.length
    const again = await runAbfs(['recover', '--force', '--json', 'abfs://data'], { env })
    t.same(JSON.parse(again.stdout), [])
  }
  t.comment(`${requests} requests: ${JSON.stringify(counts)}`)
  t.ok(counts.completed > 0)
}

const accounts = {
  'a flat account': ['--engine', 'abfs'],
  'a hierarchical account': ['--hns'],
  Azurite: ['--engine', 'azurite'],
}
const skip = whyNoCli()
for (const [name, flags] of Object.entries(accounts)) {
  const title = `a client that is killed while it commits on ${name} leaves all or nothing to recover`
  t.test(title, { skip, timeout: isLong ? 0 : 300_000 }, async (t) => {
    const { client, variables } = await startCliSandbox(t, ...flags)
    const dfs = variables['ABFS_DFS_ENDPOINT']
    await killAndRecover(t, dfs === undefined ? client : { ...client, ABFS_DFS_ENDPOINT: dfs })
  })
}
