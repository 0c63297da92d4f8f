import { cpSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { portableCrc32 } from '../../src/crc32.ts'
import { isFileSystemError } from '../../src/errors.ts'
import { type FileCalls, systemFiles } from '../../src/storage-server/disk/file-calls.ts'
import {
  openStorageDirectory,
  type StorageDirectory,
} from '../../src/storage-server/disk/storage-directory.ts'
import type { StorageAccount } from '../../src/storage-server/model/account.ts'
import { accountSettings } from '../../src/storage-server/model/memory-account.ts'
import { StorageError } from '../../src/storage-server/wire/storage-error.ts'
import { ask, dump, tempDirectory } from '../support/disk-account.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

const settings = accountSettings({ name: accountName, keys: accountKeys })

function put(account: StorageAccount, name: string, body: string) {
  const headers = { 'x-ms-blob-type': 'BlockBlob' }
  return ask(account, { method: 'PUT', target: `/files/${name}`, headers, body })
}

async function begin(path: string, files?: FileCalls): Promise<[StorageDirectory, StorageAccount]> {
  const storage = await openStorageDirectory(path, { files, segmentBytes: 10_000 })
  const account = storage.openAccount(settings)
  await ask(account, { method: 'PUT', target: '/files?restype=container' })
  return [storage, account]
}

/** A directory with two blobs, what it held after the first, and where the last frame begins. */
async function twoBlobs(t: Test) {
  const path = tempDirectory(t)
  const [storage, account] = await begin(path)
  await put(account, 'first', 'first bytes')
  const before = await dump(account)
  const journal = join(path, 'journal-000001')
  const lastFrame = statSync(journal).size
  await put(account, 'second', 'second bytes')
  const after = await dump(account)
  await storage.close()
  return { path, journal, before, after, lastFrame, sizeBytes: statSync(journal).size }
}

async function reopen(path: string): Promise<unknown> {
  const storage = await openStorageDirectory(path)
  const account = storage.openAccount(settings)
  const state = await dump(account)
  await storage.close()
  return state
}

t.test('a last frame cut at any byte is cut off, and writing goes on after it', async (t) => {
  const made = await twoBlobs(t)
  const bytes = readFileSync(made.journal)

  for (let at = made.lastFrame; at < made.sizeBytes; at++) {
    const zeros = Buffer.alloc(at % 3 === 0 ? made.sizeBytes - at : 0)
    writeFileSync(made.journal, Buffer.concat([bytes.subarray(0, at), zeros]))
    const storage = await openStorageDirectory(made.path)
    const account = storage.openAccount(settings)
    const state = await dump(account)
    await put(account, 'third', 'third bytes')
    const later = await dump(account)
    await storage.close()

    if (JSON.stringify(state) !== JSON.stringify(made.before)) t.fail(`cut at ${at}`)
    if (JSON.stringify(await reopen(made.path)) !== JSON.stringify(later)) t.fail(`after ${at}`)
  }
  writeFileSync(made.journal, bytes)
  t.strictSame(await reopen(made.path), made.after)
})

t.test('a byte changed before the last frame is an error that names file and place', async (t) => {
  const made = await twoBlobs(t)
  const bytes = readFileSync(made.journal)

  for (let at = 0; at < made.lastFrame; at++) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 0x40
    writeFileSync(made.journal, changed)
    const error = await openStorageDirectory(made.path).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    const told =
      isFileSystemError(error, 'EIO') &&
      error.path === made.journal &&
      /truncate -s \d+/.test(error.message)
    if (!told) t.fail(`byte ${at}: ${String(error)}`)
  }
  writeFileSync(made.journal, bytes)
  t.strictSame(await reopen(made.path), made.after, 'an error changes nothing')
})

t.test('what the error says to do keeps all that was before the damage', async (t) => {
  const made = await twoBlobs(t)
  const bytes = readFileSync(made.journal)
  bytes[made.lastFrame + 20] = 0xff
  writeFileSync(made.journal, bytes)

  const error = await openStorageDirectory(made.path).catch((reason: unknown) => reason)
  const [, size = ''] = /truncate -s (\d+)/.exec(String(error)) ?? []
  truncateSync(made.journal, Number(size))

  t.strictSame(await reopen(made.path), made.before)
})

t.test('missing bytes, journals and snapshots are errors that name them', async (t) => {
  const made = await twoBlobs(t)
  const [segment = ''] = readdirSync(join(made.path, 'extents'))
  const whole = tempDirectory(t)
  cpSync(made.path, whole, { recursive: true })
  truncateSync(join(made.path, 'extents', segment), 3)

  await t.rejects(openStorageDirectory(made.path), {
    code: 'EIO',
    path: join(made.path, 'extents', segment),
  })
  const storage = await openStorageDirectory(whole)
  await storage.compact()
  await storage.close()
  const snapshot = join(whole, 'snapshot-000002')
  truncateSync(snapshot, statSync(snapshot).size - 8)

  await t.rejects(openStorageDirectory(whole), { code: 'EIO', path: snapshot })
})

t.test('a full disk is answered 507 and nothing that was acknowledged suffers', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(3), fc.nat(3000)), { minLength: 20, maxLength: 60 }),
      fc.array(fc.nat(6000), { minLength: 5, maxLength: 5 }),
      async (writes, budgets) => {
        const path = tempDirectory(t)
        const disk = new SmallDisk()
        const [storage, account] = await begin(path, disk)
        const kept = new Map<string, string>()
        const refused = new Map<string, readonly string[]>()
        for (const [at, [name, size]] of writes.entries()) {
          if (at % 5 === 0) disk.room = budgets[(at / 5) % 5] ?? 0
          const body = `${at};`.repeat(size)
          const answer = await put(account, String(name), body)
          if (answer instanceof StorageError) {
            if (answer.status !== 507) throw answer
            refused.set(String(name), [...(refused.get(String(name)) ?? []), body])
          } else {
            kept.set(String(name), body)
            refused.delete(String(name))
          }
        }
        disk.room = Number.POSITIVE_INFINITY
        if ((await put(account, 'last', 'x')) instanceof StorageError) throw new Error('no room')
        const state = JSON.stringify(await dump(account))
        await storage.close()
        if (JSON.stringify(await reopen(path)) !== state) throw new Error('another state')
        for (const [name, body] of kept)
          await checkBytes(path, name, [body, ...(refused.get(name) ?? [])])
      },
    ),
    { numRuns: 25, endOnFailure: true },
  )
  t.ok(SmallDisk.refusals > 50, `${SmallDisk.refusals} writes found no room`)
})

t.test('a kill while the disk is full loses only what was refused', async (t) => {
  const path = tempDirectory(t)
  const disk = new SmallDisk()
  const [storage, account] = await begin(path, disk)
  await put(account, 'kept', 'bytes')
  const before = await dump(account)
  disk.room = 40
  const refused = await put(account, 'empty', '')
  const copy = tempDirectory(t)
  cpSync(path, copy, { recursive: true, filter: (name) => !name.includes('lock') })

  t.match(refused, { status: 507, code: 'InsufficientStorage' })
  t.strictSame(await reopen(copy), before)
  disk.room = Number.POSITIVE_INFINITY
  await storage.close()
})

t.test('a compaction that finds no room leaves everything as it was', async (t) => {
  const path = tempDirectory(t)
  const disk = new SmallDisk()
  const [storage, account] = await begin(path, disk)
  for (let at = 0; at < 40; at++) await put(account, String(at % 20), 'x'.repeat(900))
  const before = await dump(account)
  disk.room = 1000

  await t.rejects(storage.compact(), { code: 'InsufficientStorage' })
  t.strictSame(await dump(account), before)
  disk.room = Number.POSITIVE_INFINITY
  await put(account, 'after', 'bytes')
  const after = await dump(account)
  await storage.close()
  t.strictSame(await reopen(path), after)
})

t.test('the checksum is the same with and without that of Node', (t) => {
  t.equal(portableCrc32(Buffer.from('123456789')), 0xcbf43926)
  t.end()
})

/** Writes what there is room for, and refuses the rest as the operating system does. */
class SmallDisk implements FileCalls {
  static refusals = 0
  room = Number.POSITIVE_INFINITY

  writeSync(fd: number, data: Uint8Array, position: number): number {
    return systemFiles.writeSync(fd, this.#fitting(data), position)
  }

  async write(fd: number, data: Uint8Array, position: number): Promise<number> {
    return systemFiles.write(fd, this.#fitting(data), position)
  }

  #fitting(data: Uint8Array): Uint8Array {
    if (this.room <= 0) {
      SmallDisk.refusals++
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    }
    const part = data.subarray(0, this.room)
    this.room -= part.byteLength
    return part
  }
}

async function checkBytes(path: string, name: string, allowed: readonly string[]): Promise<void> {
  const storage = await openStorageDirectory(path)
  const answer = await ask(storage.openAccount(settings), {
    method: 'GET',
    target: `/files/${name}`,
  })
  if (answer instanceof StorageError) throw answer
  const { body } = answer
  const slice = typeof body === 'object' && 'content' in body ? body : undefined
  const parts = slice?.content.extents.map((one) => one.read(0, one.sizeBytes)) ?? []
  const text = Buffer.concat(await Promise.all(parts)).toString()
  await storage.close()
  if (!allowed.includes(text)) throw new Error(`${name}: bytes that nobody was told of`)
}
