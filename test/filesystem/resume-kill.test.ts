import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { KiB } from '../../src/byte-range.ts'
import type { ServerHooks } from '../../src/storage-server/control/hooks.ts'
import { createStorageServer } from '../../src/storage-server/server.ts'
import { openAccess } from '../support/dfs-server.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { temporaryDirectory } from '../support/file-system.ts'
import { addContainer, testAccount } from '../support/storage-request.ts'

const worker = fileURLToPath(new URL('../support/transfer-worker.ts', import.meta.url))
const seed = Math.floor(Math.random() * 2 ** 31)
const isLong = process.env['ABFS_LONG_TESTS'] === '1'
const rounds = isLong ? 12 : 1
const kills = 2
const blockBytes = 64 * KiB
/** Files that a worker has under way at once, and blocks of each. */
const underWay = { files: 4, blocks: 4 }

/** A server that counts bodies, and calls `onAnswer` when a request was answered. */
async function countingServer(t: Test) {
  const nothing = (): void => undefined
  const count = { answers: 0, bytesIn: 0, bytesOut: 0, onAnswer: nothing }
  const hooks: ServerHooks = {
    begin: (_request, verb) => ({
      end({ status, bytesIn, bytesOut }) {
        const isContent = ['PutBlob', 'PutBlock', 'GetBlob'].includes(verb)
        // A refusal has a body too: that of a range of an empty file.
        if (!isContent || status >= 400) return
        count.answers += 1
        count.bytesIn += bytesIn
        count.bytesOut += bytesOut
        count.onAnswer()
      },
    }),
  }
  const clock = new FakeClock()
  const account = testAccount(clock, { name: 'acct', hierarchical: false })
  addContainer(account, 'box')
  const accounts = new Map([['acct', account]])
  const server = createStorageServer({ accounts, access: openAccess, hooks, clock })
  t.teardown(() => server.close())
  return { count, endpoint: `${await server.listen()}/acct` }
}

/** Runs the transfer in a process that is killed after `answers` of the service; tells what it said. */
async function runAndKill(
  args: readonly string[],
  server: Awaited<ReturnType<typeof countingServer>>,
  answers: number,
): Promise<unknown> {
  const child = fork(worker, [...args], {
    execArgv: process.execArgv.filter((argument) => argument.includes('typescript')),
  })
  const until = server.count.answers + answers
  server.count.onAnswer = () => {
    if (server.count.answers >= until) child.kill('SIGKILL')
  }
  let said: unknown
  child.on('message', (message) => {
    said = message
  })
  const [code, signal] = await once(child, 'close')
  if (signal !== 'SIGKILL' && code !== 0) throw new Error(`the worker ended with ${code}`)
  return said
}

/** Runs it again and again, killed at each of `points`, until it has come to its end. */
async function runToTheEnd(
  args: readonly string[],
  points: readonly number[],
  server: Awaited<ReturnType<typeof countingServer>>,
  afterDeath: () => Promise<void> = async () => undefined,
): Promise<{ readonly said: unknown; readonly deaths: number }> {
  for (const [deaths, point] of [...points, Number.POSITIVE_INFINITY].entries()) {
    const said = await runAndKill(args, server, point)
    if (said !== undefined) return { said, deaths }
    await afterDeath()
  }
  throw new Error('the last run did not come to its end')
}

const trees = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 0, max: 3000 }) },
    { weight: 2, arbitrary: fc.integer({ min: blockBytes + 1, max: 30 * blockBytes }) },
  ),
  { minLength: 8, maxLength: 24 },
)
const points = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: kills, maxLength: kills })

async function plant(directory: string, sizes: readonly number[]): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>()
  for (const [index, size] of sizes.entries()) {
    const name = index % 3 === 0 ? `sub/${index}` : `${index}`
    files.set(name, randomBytes(size))
  }
  await mkdir(join(directory, 'sub'), { recursive: true })
  for (const [name, data] of files) await writeFile(join(directory, name), data)
  return files
}

async function readTree(directory: string): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>()
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    found.set(path.slice(directory.length + 1), await readFile(path))
  }
  return found
}

function isSame(a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>): boolean {
  return a.size === b.size && [...a].every(([name, data]) => b.get(name)?.equals(data) === true)
}

const title = `a transfer that is killed at random goes on, and moves little twice (seed ${seed})`
t.test(title, { timeout: isLong ? 0 : 300_000 }, async (t) => {
  await fc.assert(
    fc.asyncProperty(trees, points, points, async (sizes, putKills, getKills) => {
      const directory = await temporaryDirectory(t)
      const server = await countingServer(t)
      const [source, target] = [join(directory, 'source'), join(directory, 'target')]
      const files = await plant(source, sizes)
      const total = sizes.reduce((sum, size) => sum + size, 0)
      const journal = join(directory, 'journal.json')
      const put = ['put', server.endpoint, `${source}/`, 'box/tree', journal]
      const get = ['get', server.endpoint, 'box/tree/', target, journal]
      // What is under way when a process dies is moved again, and no more than that.
      const spare = (deaths: number) => deaths * underWay.files * underWay.blocks * blockBytes

      const sent = await runToTheEnd(put, putKills, server)
      t.match(sent.said, { files: sizes.length, bytes: total })
      const { bytesIn } = server.count
      t.ok(bytesIn <= total + spare(sent.deaths), `sent ${bytesIn} for ${total}`)
      t.notOk(existsSync(journal), 'the journal is gone with the end')

      const got = await runToTheEnd(get, getKills, server, async () => {
        for (const [name, data] of await readTree(target)) {
          if (!name.endsWith('.part')) t.ok(files.get(name)?.equals(data), `${name} is whole`)
        }
      })
      t.match(got.said, { files: sizes.length, bytes: total })
      const { bytesOut } = server.count
      t.ok(bytesOut <= total + spare(got.deaths), `got ${bytesOut} for ${total}`)
      t.ok(isSame(files, await readTree(target)), 'the tree is the same, and nothing else is there')
    }),
    { seed, numRuns: rounds, endOnFailure: true },
  )
})
