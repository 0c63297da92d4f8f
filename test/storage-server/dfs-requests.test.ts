import t from 'tap'
import { StorageError } from '../../src/storage-server/wire/storage-error.ts'
import {
  type DfsServer,
  fileSystemName,
  openAccess,
  startDfsServer,
} from '../support/dfs-server.ts'

// Requests that no client sends, and what the wire looks like for those that clients do.

const fs = `/${fileSystemName}`
const md5OfAbc = 'kAFQmDzST7DWlj99KOF/cg=='
const crcOfOther = 'AAAAAAAAAAA='

async function createFile({ raw }: DfsServer, path: string, text = ''): Promise<void> {
  await raw('PUT', `${fs}/${path}?resource=file`)
  if (text !== '') {
    const target = `${fs}/${path}?action=append&position=0&flush=true`
    await raw('PATCH', target, { body: text })
  }
}

t.test('errors are JSON with the code in the header as well', async (t) => {
  const { raw } = await startDfsServer(t, {}, openAccess)
  const answer = await raw('GET', `${fs}/missing`)
  t.equal(answer.status, 404)
  t.match(answer.headers['content-type'], /application\/json/)
  t.match(JSON.parse(answer.text), {
    error: { code: 'PathNotFound', message: /^The specified path does not exist\.\nRequestId:/ },
  })
  t.equal(answer.code, 'PathNotFound')
})

t.test('malformed requests', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  await createFile(server, 'file', 'abc')
  const wrong: [method: string, target: string, code: string, headers?: Record<string, string>][] =
    [
      ['PUT', `${fs}/x`, '400 MissingRequiredQueryParameter'],
      ['PUT', `${fs}/x?resource=link`, '400 InvalidQueryParameterValue'],
      ['PUT', `${fs}/x?resource=file`, '400 InvalidPropertyName', { 'x-ms-properties': '=YQ==' }],
      ['PUT', `${fs}/x?resource=file`, '400 InvalidHeaderValue', { 'x-ms-properties': 'a=%%' }],
      ['PUT', `${fs}/x?resource=file`, '400 InvalidHeaderValue', { 'x-ms-permissions': '9999' }],
      ['PUT', `${fs}/x?resource=file`, '400 InvalidHeaderValue', { 'x-ms-umask': 'rw' }],
      ['PUT', `${fs}/x?resource=file`, '400 InvaldAccessControlList', { 'x-ms-acl': 'asdf' }],
      [
        'PUT',
        `${fs}/x?resource=file`,
        '400 InvalidInput',
        { 'x-ms-acl': 'user::rwx', 'x-ms-umask': '0022' },
      ],
      ['PUT', `${fs}/x?resource=file`, '400 InvalidHeaderValue', { 'x-ms-expiry-option': 'Soon' }],
      [
        'PUT',
        `${fs}/x?resource=file`,
        '400 InvalidHeaderValue',
        { 'x-ms-expiry-option': 'Absolute', 'x-ms-expiry-time': 'Mon, 01 Jan 2001 00:00:00 GMT' },
      ],
      ['PUT', `${fs}/${'d/'.repeat(64)}x?resource=file`, '400 InvalidResourceName'],
      ['PUT', `${fs}/${'n'.repeat(256)}?resource=file`, '400 InvalidResourceName'],
      [
        'PUT',
        `${fs}/x?mode=fast`,
        '400 InvalidQueryParameterValue',
        { 'x-ms-rename-source': '/files/file' },
      ],
      ['PUT', `${fs}/x`, '400 InvalidSourceUri', { 'x-ms-rename-source': '/files' }],
      ['PUT', `${fs}/x`, '400 InvalidSourceUri', { 'x-ms-rename-source': '/files/%zz' }],
      ['PUT', `${fs}/x`, '404 FilesystemNotFound', { 'x-ms-rename-source': '/nowhere/file' }],
      ['PATCH', `${fs}/file?action=append`, '400 MissingRequiredQueryParameter'],
      ['PATCH', `${fs}/file?action=append&position=x`, '400 InvalidQueryParameterValue'],
      ['PATCH', `${fs}/file?action=append&position=-1`, '400 OutOfRangeQueryParameterValue'],
      ['PATCH', `${fs}/file?action=append&position=3`, '400 InvalidHeaderValue'],
      [
        'PATCH',
        `${fs}/file?action=append&position=3&flush=perhaps`,
        '400 InvalidQueryParameterValue',
      ],
      ['PATCH', `${fs}/file?action=flush`, '400 MissingRequiredQueryParameter'],
      ['PATCH', `${fs}/file?action=flush&position=3&close=1`, '400 InvalidQueryParameterValue'],
      ['PATCH', `${fs}/file?action=dance`, '400 InvalidQueryParameterValue'],
      ['PATCH', `${fs}/file?action=setAccessControl`, '400 MissingRequiredHeader'],
      [
        'PATCH',
        `${fs}/file?action=setAccessControl`,
        '400 InvalidInput',
        { 'x-ms-acl': 'user::rwx', 'x-ms-permissions': '0777' },
      ],
      ['PATCH', `${fs}/file?action=setAccessControlRecursive`, '400 MissingRequiredQueryParameter'],
      [
        'PATCH',
        `${fs}/file?action=setAccessControlRecursive&mode=mix`,
        '400 InvalidQueryParameterValue',
        { 'x-ms-acl': 'user::rwx' },
      ],
      [
        'PATCH',
        `${fs}/file?action=setAccessControlRecursive&mode=modify&maxRecords=0`,
        '400 OutOfRangeQueryParameterValue',
        { 'x-ms-acl': 'user::rwx' },
      ],
      ['GET', `${fs}?resource=filesystem`, '400 MissingRequiredQueryParameter'],
      ['GET', `${fs}?resource=filesystem&recursive=yes`, '400 InvalidQueryParameterValue'],
      [
        'GET',
        `${fs}?resource=filesystem&recursive=true&maxResults=0`,
        '400 OutOfRangeQueryParameterValue',
      ],
      [
        'GET',
        `${fs}?resource=filesystem&recursive=true&continuation=abc`,
        '400 InvalidQueryParameterValue',
      ],
      ['GET', `${fs}?resource=filesystem&recursive=true&directory=none`, '404 PathNotFound'],
      ['GET', '/none?resource=filesystem&recursive=true', '404 FilesystemNotFound'],
      ['GET', `${fs}/file`, '416 InvalidRange', { 'x-ms-range': 'bytes=3-9' }],
      ['GET', `${fs}/file`, '400 InvalidHeaderValue', { 'x-ms-range': 'bytes=-3' }],
      ['POST', `${fs}/file`, '400 MissingRequiredHeader'],
      ['POST', `${fs}/file`, '400 InvalidHeaderValue', { 'x-ms-lease-action': 'borrow' }],
      ['POST', `${fs}/file`, '400 MissingRequiredHeader', { 'x-ms-lease-action': 'acquire' }],
      [
        'POST',
        `${fs}/file`,
        '400 InvalidHeaderValue',
        { 'x-ms-lease-action': 'acquire', 'x-ms-lease-duration': '5' },
      ],
      ['DELETE', `${fs}/file?recursive=maybe`, '400 InvalidQueryParameterValue'],
      ['PUT', `${fs}?resource=filesystem`, '409 FilesystemAlreadyExists'],
      ['PUT', '/UPPER?resource=filesystem', '400 InvalidResourceName'],
    ]
  for (const [method, target, code, headers = {}] of wrong) {
    const answer = await server.raw(method, target, { headers })
    t.equal(`${answer.status} ${answer.code}`, code, `${method} ${target.slice(0, 80)}`)
  }
  t.equal((await server.raw('GET', `${fs}/file`)).text, 'abc', 'and nothing happened')
  const headers = { 'x-ms-acl': 'asdf' }
  await server.raw('PUT', `${fs}/above/it?resource=file`, { headers })
  t.equal((await server.raw('HEAD', `${fs}/above`)).status, 404, 'nor were directories made')
})

t.test('an append is checked against its checksums', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  const { raw } = server
  await createFile(server, 'file')
  const target = `${fs}/file?action=append&position=0`
  const body = 'abc'

  const good = await raw('PATCH', target, { body, headers: { 'content-md5': md5OfAbc } })
  t.equal(good.status, 202)
  t.equal(good.headers['content-md5'], md5OfAbc)
  const md5 = await raw('PATCH', target, { body: 'abd', headers: { 'content-md5': md5OfAbc } })
  t.equal(md5.code, 'Md5Mismatch')
  const crc = await raw('PATCH', target, { body, headers: { 'x-ms-content-crc64': crcOfOther } })
  t.equal(crc.code, 'Crc64Mismatch')
})

t.test('a flush stores the content headers and the checksum that it brings', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  const { raw } = server
  await createFile(server, 'file')
  await raw('PATCH', `${fs}/file?action=append&position=0`, { body: 'abc' })
  const headers = { 'x-ms-content-type': 'text/plain', 'x-ms-content-md5': md5OfAbc }
  const flushed = await raw('PATCH', `${fs}/file?action=flush&position=3&close=true`, { headers })
  t.equal(flushed.status, 200)
  const read = await raw('GET', `${fs}/file`)
  t.match(read.headers, {
    'content-type': 'text/plain',
    'content-md5': md5OfAbc,
    etag: flushed.headers['etag'],
    'content-length': '3',
    'x-ms-resource-type': 'file',
    'accept-ranges': 'bytes',
  })
})

t.test('an append may be larger than a document, and an empty checksum is none', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  const { raw } = server
  await createFile(server, 'file')
  const sizeBytes = 5 * 1024 * 1024
  const body = 'x'.repeat(sizeBytes)

  const appended = await raw('PATCH', `${fs}/file?action=append&position=0`, { body })
  const flush = `${fs}/file?action=flush&position=${sizeBytes}`
  const flushed = await raw('PATCH', flush, { headers: { 'x-ms-content-md5': '' } })

  t.equal(appended.status, 202)
  t.equal(flushed.status, 200)
  t.equal((await raw('GET', `${fs}/file`)).text.length, sizeBytes)
})

t.test('a rename with an empty lease id is one without', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  await createFile(server, 'from', 'abc')

  const headers = { 'x-ms-rename-source': `${fs}/from`, 'x-ms-source-lease-id': '' }
  const renamed = await server.raw('PUT', `${fs}/to?mode=legacy`, { headers })

  t.equal(renamed.status, 201)
  t.equal((await server.raw('GET', `${fs}/to`)).text, 'abc')
})

t.test('an append below the end of the file is refused', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  await createFile(server, 'file', 'abc')
  const below = await server.raw('PATCH', `${fs}/file?action=append&position=2`, { body: 'x' })
  t.equal(`${below.status} ${below.code}`, '400 InvalidFlushPosition')
})

t.test('an append acquires, renews and releases a lease', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  const { raw } = server
  await createFile(server, 'file')
  const id = '33333333-3333-4333-8333-333333333333'
  const at = (position: number) => `${fs}/file?action=append&position=${position}&flush=true`
  const state = async () => (await raw('HEAD', `${fs}/file`)).headers['x-ms-lease-state']

  const acquired = await raw('PATCH', at(0), {
    body: 'a',
    headers: {
      'x-ms-lease-action': 'acquire',
      'x-ms-lease-duration': '15',
      'x-ms-proposed-lease-id': id,
    },
  })
  t.equal(acquired.status, 202)
  t.equal(await state(), 'leased')
  const without = await raw('PATCH', at(1), { body: 'b' })
  t.equal(`${without.status} ${without.code}`, '412 LeaseIdMissing')
  const renewed = await raw('PATCH', at(1), {
    body: 'b',
    headers: { 'x-ms-lease-action': 'auto-renew', 'x-ms-lease-id': id },
  })
  t.equal(renewed.headers['x-ms-lease-renewed'], 'true')
  await raw('PATCH', at(2), {
    body: 'c',
    headers: { 'x-ms-lease-action': 'release', 'x-ms-lease-id': id },
  })
  t.equal(await state(), 'available')
  t.equal((await raw('GET', `${fs}/file`)).text, 'abc')
})

t.test('Path - Lease answers 201, 200 and 202', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  await createFile(server, 'file')
  const id = '44444444-4444-4444-8444-444444444444'
  const lease = (action: string, headers = {}) =>
    server.raw('POST', `${fs}/file`, {
      headers: { 'x-ms-lease-action': action, 'x-ms-lease-id': id, ...headers },
    })
  const acquired = await lease('acquire', {
    'x-ms-lease-duration': '-1',
    'x-ms-proposed-lease-id': id,
  })
  t.equal(acquired.status, 201)
  t.equal(acquired.headers['x-ms-lease-id'], id)
  t.equal((await lease('renew')).status, 200)
  const broken = await lease('break', { 'x-ms-lease-break-period': '10' })
  t.match([broken.status, broken.headers['x-ms-lease-time']], [202, '10'])
  t.equal((await lease('release')).status, 200)
})

t.test('a range comes with its checksum when asked', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  await createFile(server, 'file', 'xxabcxx')
  const answer = await server.raw('GET', `${fs}/file`, {
    headers: { range: 'bytes=2-4', 'x-ms-range-get-content-md5': 'true' },
  })
  t.equal(answer.status, 206)
  t.equal(answer.text, 'abc')
  t.match(answer.headers, { 'content-range': 'bytes 2-4/7', 'content-md5': md5OfAbc })
})

t.test('conditions of a read are 304 and 412', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  await createFile(server, 'file', 'abc')
  const etag = String((await server.raw('HEAD', `${fs}/file`)).headers['etag'])
  const read = (headers: Record<string, string>) => server.raw('GET', `${fs}/file`, { headers })
  t.equal((await read({ 'if-none-match': etag })).status, 304)
  t.equal((await read({ 'if-match': '"0x1"' })).status, 412)
  t.equal((await read({ 'if-match': etag })).status, 200)
})

t.test('a listing is JSON of strings', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  await createFile(server, 'dir/file', 'abc')
  const list = `${fs}?resource=filesystem&recursive=true`
  const { headers, text } = await server.raw('GET', list)
  t.match(headers['content-type'], /application\/json/)
  const { paths } = JSON.parse(text)
  const fileTimeNow = BigInt(server.clock.nowMs()) * 10_000n + 116_444_736_000_000_000n
  const common = {
    owner: '$superuser',
    group: '$superuser',
    etag: /^0x[0-9A-F]+$/,
    lastModified: /^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/,
    creationTime: String(fileTimeNow),
  }
  t.match(paths, [
    { name: 'dir', isDirectory: 'true', contentLength: '0', permissions: 'rwxr-x---', ...common },
    { name: 'dir/file', contentLength: '3', permissions: 'rw-r-----', ...common },
  ])
  t.notOk('isDirectory' in paths[1], 'a file does not say that it is none')
  t.notOk('expiryTime' in paths[1])
  await server.raw('PUT', `${fs}/brief?resource=file`, {
    headers: { 'x-ms-expiry-option': 'RelativeToNow', 'x-ms-expiry-time': '1000' },
  })
  const [brief] = JSON.parse((await server.raw('GET', list)).text).paths
  t.equal(brief.expiryTime, String(fileTimeNow + 10_000_000n))
})

t.test('pages of any size show each path once', async (t) => {
  for (const hierarchical of [true, false]) {
    const server = await startDfsServer(t, { hierarchical }, openAccess)
    for (const name of ['a/x', 'a/y/z', 'a-b', 'a.b/c', 'b', 'c/d/e/f', '😀', '～']) {
      await createFile(server, name)
    }
    for (const recursive of [true, false]) {
      const walk = async (maxResults: number) => {
        const found: string[] = []
        let continuation = ''
        do {
          const query = `resource=filesystem&recursive=${recursive}&maxResults=${maxResults}`
          const token = encodeURIComponent(continuation)
          const page = await server.raw('GET', `${fs}?${query}&continuation=${token}`)
          found.push(...JSON.parse(page.text).paths.map((path: { name: string }) => path.name))
          continuation = page.headers['x-ms-continuation']?.toString() ?? ''
        } while (continuation !== '')
        return found
      }
      const whole = await walk(5000)
      t.equal(new Set(whole).size, whole.length)
      const expected = hierarchical && recursive ? 14 : recursive ? 8 : 7
      t.equal(whole.length, expected, `${hierarchical ? 'hierarchical' : 'flat'} ${recursive}`)
      for (const size of [1, 2, 3, 5]) {
        t.strictSame(await walk(size), whole, `in pages of ${size}`)
      }
    }
  }
})

t.test('a listing begins from a name, and within a directory', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  for (const name of ['dir/a', 'dir/b/c', 'dir/d', 'other']) {
    await createFile(server, name)
  }
  const list = async (query: string) => {
    const { text } = await server.raw('GET', `${fs}?resource=filesystem&${query}`)
    return JSON.parse(text).paths.map((path: { name: string }) => path.name)
  }
  t.strictSame(await list('recursive=false'), ['dir', 'other'])
  t.strictSame(await list('recursive=false&directory=dir'), ['dir/a', 'dir/b', 'dir/d'])
  t.strictSame(await list('recursive=false&directory=dir&beginFrom=b'), ['dir/b', 'dir/d'])
  t.strictSame(await list('recursive=true&directory=dir&beginFrom=b'), [
    'dir/b',
    'dir/b/c',
    'dir/d',
  ])
  t.strictSame(await list('recursive=false&directory=dir&beginFrom=c'), ['dir/d'])
})

t.test('the root has rights of its own', async (t) => {
  const { raw } = await startDfsServer(t, {}, openAccess)
  const rights = async () => (await raw('HEAD', `${fs}/?action=getAccessControl`)).headers
  t.match(await rights(), {
    'x-ms-owner': '$superuser',
    'x-ms-permissions': 'rwxr-x---',
    'x-ms-acl': 'user::rwx,group::r-x,other::---',
  })
  const headers = { 'x-ms-permissions': '1777', 'x-ms-owner': 'me' }
  const set = await raw('PATCH', `${fs}/?action=setAccessControl`, { headers })
  t.equal(set.status, 200)
  t.match(await rights(), { 'x-ms-owner': 'me', 'x-ms-permissions': 'rwxrwxrwt' })
})

t.test('lists of a tree change in batches that a continuation links', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  for (const name of ['d/a', 'd/b/c', 'd/b/e']) {
    await createFile(server, name)
  }
  const headers = { 'x-ms-acl': 'user:u:r-x' }
  const reports: unknown[] = []
  let continuation = ''
  do {
    const query = `action=setAccessControlRecursive&mode=modify&maxRecords=2&continuation=`
    const answer = await server.raw(
      'PATCH',
      `${fs}/d?${query}${encodeURIComponent(continuation)}`,
      {
        headers,
      },
    )
    reports.push(JSON.parse(answer.text))
    continuation = answer.headers['x-ms-continuation']?.toString() ?? ''
  } while (continuation !== '')
  const none = { failureCount: 0, failedEntries: [] }
  t.strictSame(reports, [
    { directoriesSuccessful: 1, filesSuccessful: 1, ...none },
    { directoriesSuccessful: 1, filesSuccessful: 1, ...none },
    { directoriesSuccessful: 0, filesSuccessful: 1, ...none },
  ])
  const { headers: shown } = await server.raw('HEAD', `${fs}/d/b/e?action=getAccessControl`)
  t.equal(shown['x-ms-acl'], 'user::rw-,user:u:r-x,group::r--,mask::r-x,other::---')
})

t.test('a walk reports what it may not change, and goes on when forced', async (t) => {
  const refused = new StorageError(403, 'AuthorizationPermissionMismatch', 'Not yours.')
  const server = await startDfsServer(
    t,
    {},
    {
      ...openAccess,
      authorize: (_, needs) => {
        if (needs.some(({ right, path }) => right === 'permissions' && path === 'd/b')) {
          throw refused
        }
      },
    },
  )
  for (const name of ['d/a', 'd/b', 'd/c']) {
    await createFile(server, name)
  }
  const walk = async (query: string) => {
    const target = `${fs}/d?action=setAccessControlRecursive&mode=modify&maxRecords=3&${query}`
    const { headers, text } = await server.raw('PATCH', target, {
      headers: { 'x-ms-acl': 'user:u:r-x' },
    })
    return { ...JSON.parse(text), more: headers['x-ms-continuation'] !== undefined }
  }
  const failed = {
    directoriesSuccessful: 1,
    filesSuccessful: 1,
    failureCount: 1,
    failedEntries: [{ name: 'd/b', type: 'FILE', errorMessage: 'Not yours.' }],
  }
  t.strictSame(await walk('forceFlag=false'), { ...failed, more: false })
  t.strictSame(await walk('forceFlag=true'), { ...failed, more: true })
})

t.test('a flat account takes files, and nothing that needs directories', async (t) => {
  const server = await startDfsServer(t, { hierarchical: false }, openAccess)
  const { raw } = server
  await createFile(server, 'dir/file', 'abc')
  t.equal((await raw('GET', `${fs}/dir/file`)).text, 'abc')
  t.equal((await raw('PUT', `${fs}/marked?resource=directory`)).status, 201)
  const marked = await raw('HEAD', `${fs}/marked`)
  t.equal(marked.headers['x-ms-resource-type'], 'directory')
  const refused: [method: string, target: string, headers?: Record<string, string>][] = [
    ['PUT', `${fs}/other`, { 'x-ms-rename-source': `${fs}/dir/file` }],
    ['PUT', `${fs}/x?resource=file`, { 'x-ms-permissions': '0777' }],
    ['HEAD', `${fs}/dir/file?action=getAccessControl`],
    ['PATCH', `${fs}/dir/file?action=setAccessControl`, { 'x-ms-owner': 'me' }],
    ['PATCH', `${fs}/dir?action=setAccessControlRecursive&mode=set`, { 'x-ms-acl': 'user::rwx' }],
  ]
  for (const [method, target, headers = {}] of refused) {
    const answer = await raw(method, target, { headers })
    const code = '400 HierarchicalNamespaceNotEnabled'
    t.equal(`${answer.status} ${answer.code}`, code, `${method} ${target}`)
  }
  const expiry = await raw('PUT', `${fs}/dir/file?comp=expiry`, {
    face: 'blob',
    headers: { 'x-ms-expiry-option': 'NeverExpire' },
  })
  t.equal(expiry.code, 'HierarchicalNamespaceNotEnabled')
  t.equal((await raw('DELETE', `${fs}/dir?recursive=false`)).code, 'DirectoryNotEmpty')
  t.equal((await raw('DELETE', `${fs}/dir?recursive=true`)).status, 200)
  t.equal((await raw('HEAD', `${fs}/dir/file`)).status, 404)
})

t.test('a deletion comes back as a whole by its id', async (t) => {
  const server = await startDfsServer(t, { softDeleteDays: 7 }, openAccess)
  const { raw } = server
  await createFile(server, 'dir/sub/file', 'abc')
  await createFile(server, 'dir/gone', 'x')
  await raw('DELETE', `${fs}/dir/gone`)
  const deleted = await raw('DELETE', `${fs}/dir?recursive=true`)
  const id = deleted.headers['x-ms-deletion-id']
  t.type(id, 'string')
  const undelete = (deletionId: unknown) =>
    raw('PUT', `${fs}/dir?comp=undelete`, {
      face: 'blob',
      headers: { 'x-ms-undelete-source': `dir?deletionid=${deletionId}` },
    })
  t.equal((await undelete('other')).status, 404)
  const restored = await undelete(id)
  t.match([restored.status, restored.headers['x-ms-resource-type']], [200, 'directory'])
  t.equal((await raw('GET', `${fs}/dir/sub/file`)).text, 'abc')
  t.equal((await raw('HEAD', `${fs}/dir/gone`)).status, 404, 'another deletion')
})

t.test('both faces see one store', async (t) => {
  const server = await startDfsServer(t, {}, openAccess)
  const { raw } = server
  const blob = 'blob' as const
  await createFile(server, 'dir/file', 'abc')

  await t.test('the blob face reads what dfs wrote', async (t) => {
    const read = await raw('GET', `${fs}/dir/file`, { face: blob })
    t.equal(read.text, 'abc')
    const directory = await raw('HEAD', `${fs}/dir`, { face: blob })
    t.equal(directory.headers['x-ms-meta-hdi_isfolder'], 'true')
  })

  await t.test('Put Blob makes the directories above and may replace a file of dfs', async (t) => {
    const headers = { 'x-ms-blob-type': 'BlockBlob' }
    await raw('PUT', `${fs}/made/by/blob`, { face: blob, headers, body: 'put' })
    t.equal((await raw('HEAD', `${fs}/made/by`)).headers['x-ms-resource-type'], 'directory')
    const replaced = await raw('PUT', `${fs}/dir/file`, { face: blob, headers, body: 'new' })
    t.equal(replaced.status, 201)
  })

  await t.test('an empty blob that is marked as a folder is a directory', async (t) => {
    const headers = { 'x-ms-blob-type': 'BlockBlob', 'x-ms-meta-hdi_isfolder': 'true' }
    t.equal((await raw('PUT', `${fs}/stub/dir`, { face: blob, headers })).status, 201)
    await createFile(server, 'stub/dir/file')
    t.equal((await raw('DELETE', `${fs}/stub/dir`)).code, 'DirectoryNotEmpty')
  })

  await t.test('the mark of a directory that is there replaces its metadata alone', async (t) => {
    await createFile(server, 'marked/file', 'abc')
    const folder = { 'x-ms-blob-type': 'BlockBlob', 'x-ms-meta-hdi_isfolder': 'true' }
    const headers = { ...folder, 'x-ms-meta-a': 'b' }
    const marked = await raw('PUT', `${fs}/marked`, { face: blob, headers })
    const read = await raw('HEAD', `${fs}/marked`, { face: blob })
    const filled = await raw('PUT', `${fs}/marked`, { face: blob, headers, body: 'x' })

    t.equal(marked.status, 201)
    t.match(read.headers, { 'x-ms-meta-a': 'b', 'x-ms-meta-hdi_isfolder': 'true' })
    t.equal((await raw('GET', `${fs}/marked/file`)).text, 'abc')
    t.equal(filled.code, 'ResourceTypeMismatch')
  })

  await t.test('dfs does not append to what Put Blob wrote', async (t) => {
    const target = `${fs}/made/by/blob?action=append&position=3`
    const append = await raw('PATCH', target, { body: 'more' })
    t.equal(`${append.status} ${append.code}`, '409 InvalidAppendOperation')
    const flush = await raw('PATCH', `${fs}/made/by/blob?action=flush&position=3`)
    t.equal(`${flush.status} ${flush.code}`, '409 InvalidFlushOperation')
  })

  await t.test('Put Block List does not replace a file of dfs', async (t) => {
    await createFile(server, 'made/by/dfs', 'abc')
    const id = encodeURIComponent(Buffer.from('one').toString('base64'))
    const target = `${fs}/made/by/dfs`
    await raw('PUT', `${target}?comp=block&blockid=${id}`, { face: blob, body: 'block' })
    const list = `<BlockList><Latest>${decodeURIComponent(id)}</Latest></BlockList>`
    const put = await raw('PUT', `${target}?comp=blocklist`, { face: blob, body: list })
    t.equal(put.code, 'InvalidBlobOrBlock')
    t.equal((await raw('GET', target)).text, 'abc')
  })

  await t.test('Delete Blob refuses a directory that holds something', async (t) => {
    const refused = await raw('DELETE', `${fs}/made`, { face: blob })
    t.equal(refused.status, 409)
    await createFile(server, 'lone/file')
    await raw('DELETE', `${fs}/lone/file`)
    t.equal((await raw('DELETE', `${fs}/lone`, { face: blob })).status, 202)
  })

  await t.test('List Blobs shows directories', async (t) => {
    const list = await raw('GET', `${fs}?restype=container&comp=list&include=metadata`, {
      face: blob,
    })
    t.match(list.text, /<Name>dir<\/Name>.*<hdi_isfolder>true<\/hdi_isfolder>/s)
  })
})
