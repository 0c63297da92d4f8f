import fc from 'fast-check'
import t from 'tap'
import {
  openStorageDirectory,
  type StorageDirectory,
} from '../../src/storage-server/disk/storage-directory.ts'
import type { StorageAccount } from '../../src/storage-server/model/account.ts'
import { accountSettings } from '../../src/storage-server/model/memory-account.ts'
import { StorageError } from '../../src/storage-server/wire/storage-error.ts'
import { type AccountRequest, ask, dump, tempDirectory } from '../support/disk-account.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

const lease = '11111111-1111-1111-1111-111111111111'
const blockId = (text: string) => Buffer.from(text).toString('base64')
const page = 'p'.repeat(512)
const source = (name: string) => `http://${accountName}.blob.localhost/${name}`

const container = fc.constantFrom('one', 'two')
const name = fc.constantFrom('a', 'b', 'dir/c', 'dir/sub/d', 'ümlaut ß', '\u{1f600}')
const short = fc.constantFrom('', 'first', 'second', 'x'.repeat(70_000))

type Build = (path: string, body: string, other: string) => AccountRequest

const put =
  (type: string, more: Record<string, string> = {}): Build =>
  (path, body) => ({
    method: 'PUT',
    target: path,
    headers: { 'x-ms-blob-type': type, ...more },
    body: type === 'BlockBlob' ? body : '',
  })
const comp =
  (query: string, headers: Record<string, string> = {}, body?: string): Build =>
  (path, given) => ({ method: 'PUT', target: `${path}?${query}`, headers, body: body ?? given })
const dfs =
  (method: string, query: string, headers: Record<string, string> = {}): Build =>
  (path, body) => ({
    method,
    target: `${path}${query}`,
    face: 'dfs',
    headers,
    body: query.includes('action=append') ? body : '',
  })
const leaseVerb = (action: string, more: Record<string, string> = {}): Build =>
  comp('comp=lease', { 'x-ms-lease-action': action, ...more }, '')
const blockList = `<BlockList><Latest>${blockId('1')}</Latest><Latest>${blockId('2')}</Latest></BlockList>`

const builds: readonly Build[] = [
  put('BlockBlob', { 'x-ms-meta-Case': 'ä', 'content-type': 'text/plain' }),
  put('BlockBlob', { 'x-ms-tags': 'a=b&c=d', 'x-ms-access-tier': 'Archive' }),
  put('BlockBlob', { 'x-ms-lease-id': lease }),
  put('AppendBlob'),
  put('PageBlob', { 'x-ms-blob-content-length': '4096' }),
  comp('comp=appendblock'),
  comp('comp=page', { 'x-ms-page-write': 'update', 'x-ms-range': 'bytes=512-1023' }, page),
  comp('comp=page', { 'x-ms-page-write': 'update', 'x-ms-range': 'bytes=0-1535' }, page.repeat(3)),
  comp('comp=page', { 'x-ms-page-write': 'clear', 'x-ms-range': 'bytes=512-1023' }, ''),
  comp(`comp=block&blockid=${encodeURIComponent(blockId('1'))}`, {}, 'block one'),
  comp(`comp=block&blockid=${encodeURIComponent(blockId('2'))}`, {}, 'block two'),
  comp('comp=blocklist', {}, blockList),
  comp('comp=snapshot', {}, ''),
  comp('comp=metadata', { 'x-ms-meta-other': 'value' }, ''),
  comp(
    'comp=properties',
    { 'x-ms-blob-content-type': 'a/b', 'x-ms-blob-content-length': '2048' },
    '',
  ),
  comp('comp=undelete', {}, ''),
  comp('comp=tags', {}, '<Tags><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tags>'),
  comp('comp=tier', { 'x-ms-access-tier': 'Hot' }, ''),
  comp('comp=tier', { 'x-ms-access-tier': 'Archive' }, ''),
  comp('comp=expiry', { 'x-ms-expiry-option': 'RelativeToNow', 'x-ms-expiry-time': '5000' }, ''),
  leaseVerb('acquire', { 'x-ms-lease-duration': '-1', 'x-ms-proposed-lease-id': lease }),
  leaseVerb('acquire', { 'x-ms-lease-duration': '15', 'x-ms-proposed-lease-id': lease }),
  leaseVerb('break', { 'x-ms-lease-break-period': '5' }),
  leaseVerb('release', { 'x-ms-lease-id': lease }),
  (path) => ({ method: 'DELETE', target: path }),
  (path) => ({ method: 'DELETE', target: path, headers: { 'x-ms-delete-snapshots': 'include' } }),
  (path, _, other) => ({
    method: 'PUT',
    target: path,
    headers: { 'x-ms-copy-source': source(other) },
  }),
  dfs('PUT', '?resource=file'),
  dfs('PUT', '?resource=directory', { 'x-ms-permissions': '1777', 'x-ms-umask': '0022' }),
  dfs('PATCH', '?action=append&position=0'),
  dfs('PATCH', '?action=append&position=5'),
  dfs('PATCH', '?action=flush&position=5'),
  dfs('PATCH', '?action=setAccessControl', { 'x-ms-acl': 'user::rwx,group::r-x,other::---' }),
  dfs('DELETE', '?recursive=true'),
  (path, _, other) => ({
    method: 'PUT',
    target: path,
    face: 'dfs',
    headers: { 'x-ms-rename-source': `/${other}` },
  }),
  (path, _, other) => ({
    method: 'PUT',
    target: path.replace(/(?<=\/dir)\/.*$/, '2'),
    face: 'dfs',
    headers: { 'x-ms-rename-source': `/${other.split('/')[0]}/dir` },
  }),
]

const request = fc
  .tuple(fc.constantFrom(...builds), container, name, short, container, name)
  .map(([build, place, path, body, otherPlace, other]) => {
    const at = (inside: string, file: string) =>
      `${inside}/${file.split('/').map(encodeURIComponent).join('/')}`
    return build(`/${at(place, path)}`, body, at(otherPlace, other))
  })
const containerRequest = fc
  .tuple(
    fc.constantFrom<readonly [string, string, Record<string, string>]>(
      ['PUT', '?restype=container', { 'x-ms-meta-a': 'b' }],
      ['PUT', '?restype=container', { 'x-ms-blob-public-access': 'blob' }],
      ['DELETE', '?restype=container', {}],
      [
        'PUT',
        '?restype=container&comp=lease',
        { 'x-ms-lease-action': 'acquire', 'x-ms-lease-duration': '15' },
      ],
    ),
    container,
  )
  .map(
    ([[method, query, headers], place]): AccountRequest => ({
      method,
      target: `/${place}${query}`,
      headers,
    }),
  )

type Step =
  | { readonly kind: 'request'; readonly request: AccountRequest }
  | { readonly kind: 'restart' | 'compact' | 'restore' }
  | { readonly kind: 'wait'; readonly ms: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 40, arbitrary: request.map((one) => ({ kind: 'request' as const, request: one })) },
  {
    weight: 2,
    arbitrary: containerRequest.map((one) => ({ kind: 'request' as const, request: one })),
  },
  { weight: 2, arbitrary: fc.constant({ kind: 'restart' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'compact' as const }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'restore' as const }) },
  {
    weight: 3,
    arbitrary: fc.integer({ min: 1, max: 9000 }).map((ms) => ({ kind: 'wait' as const, ms })),
  },
)

const settings = fc.record({
  hierarchical: fc.boolean(),
  versioning: fc.boolean(),
  softDeleteDays: fc.constantFrom(undefined, 7),
  containerSoftDeleteDays: fc.constantFrom(undefined, 7),
  copyDelayMs: fc.constantFrom(undefined, 5000),
})

/** A directory that is closed and opened again as the steps say. */
class Subject {
  readonly #path: string
  readonly #settings: Partial<StorageAccount['settings']>
  readonly #clock = new FakeClock()
  #directory: StorageDirectory | undefined
  done = 0

  constructor(path: string, chosen: Partial<StorageAccount['settings']>) {
    this.#path = path
    this.#settings = chosen
  }

  async account(): Promise<StorageAccount> {
    this.#directory ??= await openStorageDirectory(this.#path, {
      clock: this.#clock,
      segmentBytes: 100_000,
      compactAfterBytes: 50_000,
    })
    const named = { name: accountName, keys: accountKeys, ...this.#settings }
    const hierarchical = this.#settings.hierarchical === true
    const versioning = this.#settings.versioning === true && !hierarchical
    return this.#directory.openAccount(accountSettings({ ...named, versioning }))
  }

  async take(next: Step): Promise<void> {
    const account = await this.account()
    if (next.kind === 'wait') await this.#clock.advance(next.ms)
    if (next.kind === 'compact') await this.#directory?.compact()
    if (next.kind === 'restore') this.#restore(account)
    if (next.kind === 'restart') await this.checkRestart()
    if (next.kind !== 'request') return
    if (!((await ask(account, next.request)) instanceof StorageError)) this.done++
  }

  async checkRestart(): Promise<void> {
    const before = await dump(await this.account())
    await this.close()
    t.strictSame(await dump(await this.account()), before)
  }

  async close(): Promise<void> {
    await this.#directory?.close()
    this.#directory = undefined
  }

  #restore(account: StorageAccount): void {
    for (const [version, { properties }] of [...account.retiredContainers()]) {
      if (account.container(properties.name) !== undefined) continue
      account.restoreContainer(version, { ...properties, deletedMs: undefined })
    }
  }
}

t.test('whatever requests did is there after a restart, times and sharing included', async (t) => {
  let done = 0

  await fc.assert(
    fc.asyncProperty(
      settings,
      fc.array(step, { minLength: 150, maxLength: 150 }),
      async (chosen, steps) => {
        const subject = new Subject(tempDirectory(t), chosen)
        for (const place of ['one', 'two']) {
          await subject.take({
            kind: 'request',
            request: { method: 'PUT', target: `/${place}?restype=container` },
          })
        }
        for (const next of steps) await subject.take(next)
        await subject.checkRestart()
        await subject.close()
        done += subject.done
      },
    ),
    { numRuns: 40, endOnFailure: true },
  )

  t.ok(done > 1000, `${done} requests succeeded`)
})

t.test(
  'etags and version ids after a restart are later than all before, clock or not',
  async (t) => {
    const path = tempDirectory(t)
    const clock = new FakeClock()
    const chosen = accountSettings({ name: accountName, keys: accountKeys, versioning: true })
    const first = await openStorageDirectory(path, { clock })
    const account = first.openAccount(chosen)
    await ask(account, { method: 'PUT', target: '/one?restype=container' })
    for (let at = 0; at < 50; at++) {
      await ask(account, {
        method: 'PUT',
        target: '/one/a',
        headers: { 'x-ms-blob-type': 'BlockBlob' },
      })
    }
    const [etag, version] = [account.nextEtag(), account.nextTimestamp()]
    await first.close()

    await clock.advance(-60_000)
    const second = await openStorageDirectory(path, { clock })
    const again = second.openAccount(chosen)

    t.ok(again.nextEtag() > etag)
    t.ok(again.nextTimestamp() > version)
    await second.close()
  },
)
