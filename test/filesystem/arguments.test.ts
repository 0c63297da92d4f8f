/** What programs without types, and settings out of JSON, give in the place of an argument. */
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { keySignatures } from '../../src/given-credential.ts'
import { administered } from '../support/administered.ts'
import { startBlobServer } from '../support/blob-server.ts'
import { remoteFiles } from '../support/file-system.ts'
import { accountKeys, accountName } from '../support/storage-request.ts'

const given = (text: string) => JSON.parse(text)
const noTexts = ['5', '"text"', 'null', '[]', '{"name":5}', 'true']
const noFormer = [
  '{}',
  'null',
  '5',
  '"x"',
  '{"versionId":""}',
  '{"snapshot":5}',
  '{"versionId":"a","snapshot":"b"}',
]
const noFunction = ['5', '"text"', 'null', '{}']

t.test('what is not an argument is refused by its name, and nothing is done', async (t) => {
  const { clock, endpoint } = await startBlobServer(t, { versioning: true })
  const provider = keySignatures(accountName, accountKeys[0], clock)
  const parts = { account: accountName, endpoint: new URL(endpoint), provider, clock }
  const fs = administered(t, parts)
  await fs.writeText('first/f', 'text', { metadata: { kept: 'yes' } })
  const calls: readonly (readonly [string, readonly string[], (value: never) => unknown])[] = [
    ['metadata', noTexts, (value) => fs.setMetadata('first/f', value)],
    ['values', noTexts, (value) => fs.setXattrs('first/f', value)],
    ['tags', noTexts, (value) => fs.setTags('first/f', value)],
    ['settings', noTexts, (value) => fs.setContentSettings('first/f', value)],
    ['name', ['5', 'null', '""'], (value) => fs.getXattr('first/f', value)],
    ['expression', ['5', 'null', '""'], (value) => fs.findByTags('first', value).next()],
    [
      'expiresInMs',
      ['"5"', 'null', '-1', '0'],
      (value) => fs.sign('first/f', { expiresInMs: value }),
    ],
    ['former', noFormer, (value) => fs.openVersion('first/f', value)],
    ['former', noFormer, (value) => fs.readVersion('first/f', value)],
    ['former', noFormer, (value) => fs.restoreVersion('first/f', value)],
    ['former', noFormer, (value) => fs.deleteVersion('first/f', value)],
    ['change', noFunction, (value) => fs.update('first/f', value)],
    ['work', noFunction, (value) => fs.transaction(value)],
    ['onProgress', noFunction, (value) => fs.rm('first/f', { onProgress: value })],
    ['onProgress', noFunction, (value) => fs.mv('first/f', 'first/g', { onProgress: value })],
    ['onProgress', noFunction, (value) => fs.cp('first/f', 'first/g', { onProgress: value })],
    [
      'onProgress',
      noFunction,
      (value) => fs.put('/etc/hostname', 'first/g', { onProgress: value }),
    ],
    ['onProgress', noFunction, (value) => fs.get('first/f', t.testdirName, { onProgress: value })],
    ['onProgress', noFunction, (value) => fs.du('first', { onProgress: value })],
    ['options', ['5', 'null', '"text"'], (value) => fs.transaction(async () => 1, value)],
    ['acl', ['5', 'null', '{}', '[]'], (value) => fs.setAcl('first/f', value)],
    ['requests', ['5', 'null', '{}', '"text"'], (value) => fs.catRanges(value)],
    ['requests', ['5', 'null', '{}', '"text"'], (value) => fs.sub('first').catRanges(value)],
    ['options', ['5', 'null', '"text"'], (value) => fs.readBlock('first/f', value)],
    ['files', ['5', 'null', '"text"'], (value) => fs.pipe(value)],
    ['name', ['5', 'null', '{}'], (value) => fs.registerCache(value, { aheadBytes: 0 })],
    ['policy', ['5', 'null', '"text"'], (value) => fs.registerCache('own', value)],
    ['mode', ['"r"', 'null', '5'], (value) => fs.transaction((tx) => tx.open('first/f', value))],
  ]
  for (const [name, values, call] of calls) {
    for (const value of values) {
      const refused = { name: /^(Type|Range)Error$/, message: new RegExp(`^${name}: expected `) }
      await t.rejects(async () => call(given(value) as never), refused, `${name}: ${value}`)
    }
  }
  for (const value of ['5', 'null', '"text"']) {
    t.throws(() => fs.asNodeFs(given(value)), { message: /^options: expected/ })
    t.throws(() => fs.startTransaction(given(value)), { message: /^options: expected/ })
  }
  await t.rejects(async () => fs.putFile(10n as never, 'first/g'), { message: /^localPath: .*10/ })
  await t.rejects(async () => fs.plan(10n as never, 'first/f'), { message: /^operation: .*10/ })

  t.strictSame(await remoteFiles(fs, 'first'), { f: 'text' })
  t.strictSame(await fs.getMetadata('first/f'), { kept: 'yes' })
  t.equal((await fs.listVersions('first/f')).length, 1)
})

t.test('a URL with a version is refused with the call that reads it', async (t) => {
  const { clock, endpoint } = await startBlobServer(t)
  const provider = keySignatures(accountName, accountKeys[0], clock)
  const parts = { account: accountName, endpoint: new URL(endpoint), provider, clock: systemClock }
  const fs = administered(t, parts)
  const url = `https://${accountName}.blob.core.windows.net/first/f?versionid=2026-03-04T05%3A06%3A07.0000000Z`
  for (const call of [() => fs.readText(url), () => fs.rm(url), () => fs.ls(new URL(url))]) {
    await t.rejects(async () => call(), {
      code: 'ENOTSUP',
      path: 'abfs://first/f',
      message:
        /a URL with a versionid names no file.*openVersion\(path, \{ versionId \}\) or readVersion/,
    })
  }
})
