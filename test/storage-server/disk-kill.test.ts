import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { openStorageDirectory } from '../../src/storage-server/disk/storage-directory.ts'
import type { StorageAccount } from '../../src/storage-server/model/account.ts'
import { tempDirectory } from '../support/disk-account.ts'
import { accountName } from '../support/storage-request.ts'

const script = fileURLToPath(new URL('../support/disk-writer.ts', import.meta.url))
const rounds = 5

interface Acknowledged {
  readonly name: string
  readonly text?: string
  readonly deleted?: boolean
}

/** Lets a process write until it has acknowledged so much, then kills it. */
async function writeAndKill(
  directory: string,
  round: number,
  answers: number,
): Promise<Acknowledged[]> {
  const child = fork(script, [directory, String(round)], {
    execArgv: process.execArgv.filter((argument) => argument.includes('typescript')),
  })
  const acknowledged: Acknowledged[] = []
  child.on('message', (said: Acknowledged) => {
    acknowledged.push(said)
    if (acknowledged.length === answers) child.kill('SIGKILL')
  })
  // 'close' comes after the last message that the process sent.
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  t.equal(signal, 'SIGKILL', `the process wrote until it was killed (${code})`)
  return acknowledged
}

/** The bytes of all blobs by name. */
async function contents(account: StorageAccount): Promise<Map<string, string>> {
  const texts = new Map<string, string>()
  for (const { name, current } of account.container('files')?.paths.from('') ?? []) {
    if (current?.kind !== 'blob') continue
    const parts = current.content.extents.map(({ read, sizeBytes }, at) =>
      read.call(current.content.extents[at], 0, sizeBytes),
    )
    texts.set(name.slice('tree/'.length), Buffer.concat(await Promise.all(parts)).toString())
  }
  return texts
}

/** The number that a worker's text was written as; it only grows. */
function orderOf(text: string): readonly [round: number, at: number] {
  const [round = '', , at = ''] = text.split('/')
  return [Number(round), Number.parseInt(at, 10)]
}

t.test('what was acknowledged before a kill is there, whole, and nothing older', async (t) => {
  const path = tempDirectory(t)
  const last = new Map<string, Acknowledged>()
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9))
  t.comment(`SEED=${seed}`)

  for (let round = 0; round < rounds; round++) {
    const answers = 20 + ((seed + round * 7919) % 400)
    for (const said of await writeAndKill(path, round, answers)) last.set(said.name, said)
    const storage = await openStorageDirectory(path)
    const account = storage.accounts.get(accountName)
    if (account === undefined) throw new Error('no account')
    const texts = await contents(account)

    for (const [name, content] of texts) {
      const text = content.slice(0, content.indexOf(';') + 1)
      if (content !== text.repeat(content.length / text.length)) t.fail(`${name} is half-written`)
    }
    for (const [name, { text = '', deleted }] of last) {
      const content = texts.get(name)
      // Later requests may have been carried out and not acknowledged.
      if (deleted === true) continue
      if (content === undefined) {
        if (!mayBeDeleted(text)) t.fail(`${name} is gone`)
      } else if (isBefore(orderOf(content), orderOf(text))) t.fail(`${name} is older than answered`)
    }
    t.ok(texts.size > 0, `${texts.size} blobs after round ${round}`)
    await storage.close()
  }
})

/** Whether the writer's next request may have deleted it. */
function mayBeDeleted(text: string): boolean {
  return orderOf(text)[1] % 7 === 6
}

function isBefore(
  [round, at]: readonly [number, number],
  [otherRound, otherAt]: readonly [number, number],
): boolean {
  return round < otherRound || (round === otherRound && at < otherAt)
}
