// The steps of script/demo, in the order a reader would do them by hand. Everything that is a client
// runs in a process of its own, with an environment that holds no secret of Azure's.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { assertSame, describeTree, totalsOf } from './demo-compare.mjs'
import { abfs, runProgram, runScript, startSandbox } from './demo-processes.mjs'
import { look, printTable, say, step } from './demo-report.mjs'
import { makeSourceTree } from './demo-source.mjs'

const once = process.argv.includes('--once')
const hns = process.argv.includes('--hns')
const root = new URL('..', import.meta.url).pathname
const work = mkdtempSync(join(tmpdir(), 'abfs-demo-'))
const place = (name) => join(work, name)
const source = place('source')
const drive = place('drive')
const allFields = ['type', 'size', 'sha256', 'target', 'mode', 'mtime']
const rows = []
const interruption = new AbortController()
const { signal } = interruption
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => interruption.abort())

let sandbox
let mounted = false
process.exitCode = await runDemo()

async function runDemo() {
  try {
    await doMainJob()
    if (!once) await stayUp()
    return 0
  } catch (error) {
    say(signal.aborted ? '\ninterrupted' : `\nFAILED: ${error.message}`)
    return signal.aborted ? 130 : 1
  } finally {
    await cleanUp()
  }
}

async function doMainJob() {
  await startLocalAzure()
  const tree = await makeSource()
  await mount()
  await copyIn(tree)
  await remount()
  await verifyThroughDrive(tree)
  await verifyThroughLibrary(tree)
  await verifyCopyOut(tree)
  await saveAndLoadArtifact(tree)
  report()
}

async function startLocalAzure() {
  step(
    'Starting a local Azure: blob service, Entra stand-in, and a connector that holds the secret',
  )
  const envFile = place('sandbox.env')
  sandbox = await startSandbox({ envFile, container: 'demo', hns, signal })
  const { variables, client } = sandbox
  look(
    `blob service   ${variables.ABFS_BLOB_ENDPOINT}`,
    `accounts       ${variables.ABFS_SANDBOX_ACCOUNTS}`,
    `Entra          ${variables.AZURE_AUTHORITY_HOST}`,
    `connector      ${variables.ABFS_CONNECTOR_URL}`,
    `its policy     ${variables.ABFS_CONNECTOR_CONFIG}`,
    'clients get this environment, and nothing else (checked: no secret of Azure is in it):',
    ...Object.keys(client).map((name) => `  ${name}=${name === 'PATH' ? '…' : client[name]}`),
  )
}

async function makeSource() {
  step('Choosing a real tree: packages, the Node binary, a tar of the largest packages, odd names')
  makeSourceTree(root, source)
  const tree = await describeTree(source)
  const { files, bytes } = totalsOf(tree)
  const largest = Math.max(...[...tree.values()].map(({ size }) => size ?? 0))
  look(`${source}: ${files} files, ${mebibytes(bytes)} MiB, the largest ${mebibytes(largest)} MiB`)
  if (files < 1000 || bytes < 300e6 || largest < 200e6) throw new Error('the tree is too small')
  return tree
}

async function mount() {
  step('Mounting the container as a drive')
  mkdirSync(drive, { recursive: true })
  await mountDrive('drive-write.json')
  look(`abfs mount abfs://demo ${drive}`, `look: ls -l ${drive}`)
}

async function copyIn(tree) {
  step(`cp -a ${source} ${drive}/tree`)
  const seconds = await timed(() => run('cp', ['-a', source, join(drive, 'tree')]))
  rows.push({ job: 'cp -a into the drive', ...totalsOf(tree), seconds, stats: 'drive-write.json' })
}

async function remount() {
  step('Unmounting and mounting again: what follows comes from Azure, not from a cache')
  await unmountDrive()
  await mountDrive('drive-read.json')
}

async function verifyThroughDrive(tree) {
  step('Comparing through the drive: every sha256, size, mode, time and link')
  const seconds = await timed(async () => {
    assertSame(tree, await describeTree(join(drive, 'tree')), allFields, 'through the drive')
  })
  rows.push({ job: 'read through the drive', ...totalsOf(tree), seconds, stats: 'drive-read.json' })
  await unmountDrive()
}

async function verifyThroughLibrary(tree) {
  step('Comparing through AzureBlobFileSystem: every sha256')
  let output = ''
  const seconds = await timed(async () => {
    output = await runScript('demo-library.mjs', ['demo/tree'], { env: sandbox.client, signal })
  })
  const lines = output.trim().split('\n').map(JSON.parse)
  const { traffic } = lines.pop()
  const found = new Map(lines.map(({ path, sha256 }) => [path, { sha256 }]))
  const files = new Map([...tree].filter(([, { type }]) => type === 'file'))
  assertSame(files, found, ['sha256'], 'through the library')
  rows.push({ job: 'read through the library', ...totalsOf(tree), seconds, traffic })
}

async function verifyCopyOut(tree) {
  step('Copying back out with abfs cp, comparing everything')
  const target = place('back')
  const stats = 'copy-out.json'
  const argv = ['cp', '-r', '--preserve', 'abfs://demo/tree', target]
  const seconds = await timed(() => client([...argv, '--stats-file', place(stats)]))
  assertSame(tree, await describeTree(target), allFields, 'after abfs cp')
  rows.push({ job: 'abfs cp -r back out', ...totalsOf(tree), seconds, stats })
  rmSync(target, { recursive: true, force: true })
}

async function saveAndLoadArtifact(tree) {
  step('Saving the directory of odd names as an artifact, loading it elsewhere')
  const [from, to] = [join(source, 'odd names'), place('restored')]
  const store = ['--root', 'abfs://demo/artifacts']
  const names = new Map()
  for (const [path, entry] of tree) {
    const inside = path.startsWith('odd names/') && entry.type === 'file'
    if (inside) names.set(path.slice('odd names/'.length), entry)
  }
  await artifact('save', [...store, 'run-1/odd names', from], names)
  await artifact('load', [...store, 'run-1/odd names', to], names)
  const restored = [...(await describeTree(to))].filter(([path]) => names.has(path))
  assertSame(names, new Map(restored), ['sha256'], 'the artifact')
  look('abfs artifact list --root abfs://demo/artifacts:')
  look(...(await client(['artifact', 'list', ...store])).trim().split('\n'))
}

async function artifact(verb, argv, tree) {
  const stats = `artifact-${verb}.json`
  const seconds = await timed(() =>
    client(['artifact', verb, ...argv, '--stats-file', place(stats)]),
  )
  rows.push({ job: `artifact ${verb}`, ...totalsOf(tree), seconds, stats })
}

function report() {
  const head = ['', 'files', 'MiB', 'seconds', 'requests', 'tokens', 'longest life', 'left at end']
  const minutes = (ms) => `${(ms / 60_000).toFixed(1)} min`
  const lines = rows.map(({ job, files, bytes, seconds, stats, traffic }) => {
    const { requests, credentials } = traffic ?? JSON.parse(readFileSync(place(stats), 'utf8'))
    const { received, longestLifeMs, lifeLeftMs } = credentials
    const life = [minutes(longestLifeMs), minutes(lifeLeftMs)]
    return [job, files, mebibytes(bytes), seconds.toFixed(1), requests, received, ...life]
  })
  printTable(head, lines)
  const received = lines.reduce((sum, line) => sum + line[5], 0)
  say(
    `\n${received} credentials came to these jobs, by the connector’s audit log ${countAudited()} were vended: artifact list had one too.`,
  )
  say('All sha256 agree: through the drive, through the library, after abfs cp, in the artifact.')
}

function countAudited() {
  const log = readFileSync(
    join(sandbox.variables.ABFS_CONNECTOR_KEY_FILE, '../audit.jsonl'),
    'utf8',
  )
  return log.split('\n').filter((line) => line.includes('"decision":"granted"')).length
}

async function stayUp() {
  await mountDrive('drive-last.json')
  step('The drive stays up until Ctrl-C. In another terminal:')
  look(
    `ls -l ${drive}/tree`,
    `set -a; . ${place('sandbox.env')}; set +a`,
    `${join(root, 'script/abfs')} tree --depth 2 abfs://demo`,
    `${join(root, 'script/abfs')} connector check --container demo`,
    `tail -f ${join(sandbox.variables.ABFS_CONNECTOR_KEY_FILE, '../audit.jsonl')}`,
  )
  await delay(2 ** 31 - 1, undefined, { signal }).catch(() => undefined)
  say('\nending')
}

async function mountDrive(stats) {
  const options = ['--log-file', place('drive.log'), '--stats-file', place(stats)]
  await client(['mount', 'abfs://demo', drive, ...options])
  mounted = true
}

async function unmountDrive() {
  await client(['unmount', drive])
  mounted = false
}

/** Leaves nothing mounted, running or on disk, whatever happened before. */
async function cleanUp() {
  if (mounted) {
    const env = sandbox.client
    await abfs(['unmount', '--lazy', drive], { env }).catch((error) => {
      say(`cleaning up: ${error.message}`)
      return runProgram('umount', ['-l', drive], { env: process.env }).catch(() => undefined)
    })
  }
  await sandbox?.close()
  if (existsSync(work)) rmSync(work, { recursive: true, force: true })
}

function client(argv) {
  return abfs(argv, { env: sandbox.client, signal })
}

function run(program, argv) {
  return runProgram(program, argv, { env: sandbox.client, signal })
}

async function timed(work) {
  const startMs = performance.now()
  await work()
  return (performance.now() - startMs) / 1000
}

function mebibytes(bytes) {
  return (bytes / 1024 / 1024).toFixed(1)
}
