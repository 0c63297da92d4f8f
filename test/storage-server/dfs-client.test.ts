import {
  AnonymousCredential,
  DataLakeFileClient,
  type DataLakeFileSystemClient,
  DirectorySASPermissions,
} from '@azure/storage-file-datalake'
import t, { type Test } from 'tap'
import { fileSystemName, openAccess, startDfsServer } from '../support/dfs-server.ts'

// The unmodified client of Azure against the server: each rule a sentence.

async function put(fs: DataLakeFileSystemClient, path: string, text: string): Promise<void> {
  const file = fs.getFileClient(path)
  await file.create()
  if (text !== '') {
    const size = Buffer.byteLength(text)
    await file.append(text, 0, size)
    await file.flush(size)
  }
}

async function text(fs: DataLakeFileSystemClient, path: string): Promise<string> {
  return (await fs.getFileClient(path).readToBuffer()).toString()
}

async function names(fs: DataLakeFileSystemClient, options = {}): Promise<string[]> {
  const found: string[] = []
  for await (const path of fs.listPaths({ recursive: true, ...options })) {
    found.push(path.name ?? '')
  }
  return found
}

async function rejectsWith(
  t: Test,
  promise: Promise<unknown>,
  [statusCode, code]: [number, string],
): Promise<void> {
  await t.rejects(promise, { statusCode, code }, `${statusCode} ${code}`)
}

for (const style of ['hostStyle', 'pathStyle'] as const) {
  t.test(`through ${style} addresses`, async (t) => {
    const server = await startDfsServer(t)
    const fs = server[style].getFileSystemClient(fileSystemName)

    t.test('a file system is created, found, changed, listed and deleted', async (t) => {
      const other = server[style].getFileSystemClient(`other-${style.toLowerCase()}`)
      await other.create({ metadata: { colour: 'blue' } })
      t.match(await other.getProperties(), { metadata: { colour: 'blue' } })
      await other.setMetadata({ colour: 'red' })
      t.match(await other.getProperties(), { metadata: { colour: 'red' } })
      const listed: string[] = []
      for await (const item of server[style].listFileSystems()) {
        listed.push(item.name)
      }
      t.strictSame(listed, [fileSystemName, other.name])
      await other.delete()
      t.equal(await other.exists(), false)
    })

    t.test('creating a file makes the directories above it', async (t) => {
      await put(fs, 'a/b/c.txt', 'hello')

      t.equal(await text(fs, 'a/b/c.txt'), 'hello')
      t.equal(await fs.getDirectoryClient('a/b').exists(), true)
      t.strictSame(await names(fs, { path: 'a' }), ['a/b', 'a/b/c.txt'])
    })

    t.test('appended data is invisible until it is flushed', async (t) => {
      const file = fs.getFileClient('invisible')
      await file.create()
      await file.append('12345', 0, 5)
      t.equal((await file.getProperties()).contentLength, 0)
      await file.flush(5)
      t.equal((await file.getProperties()).contentLength, 5)
    })

    t.test('a flush must be contiguous', async (t) => {
      const file = fs.getFileClient('gap')
      await file.create()
      await file.append('abc', 0, 3)
      await file.append('xyz', 5, 3)

      await rejectsWith(t, file.flush(8), [400, 'InvalidFlushPosition'])
      await file.append('--', 3, 2)
      await file.flush(8)
      t.equal(await text(fs, 'gap'), 'abc--xyz')
    })

    t.test('a flush must end where appended data ends', async (t) => {
      const file = fs.getFileClient('end')
      await file.create()
      await file.append('abc', 0, 3)
      await rejectsWith(t, file.flush(2), [400, 'InvalidFlushPosition'])
      await rejectsWith(t, file.flush(4), [400, 'InvalidFlushPosition'])
      t.equal((await file.getProperties()).contentLength, 0)
    })

    t.test('a flush drops what lies beyond it unless told to retain it', async (t) => {
      for (const retainUncommittedData of [true, false]) {
        const file = fs.getFileClient(`retain-${retainUncommittedData}`)
        await file.create()
        await file.append('abc', 0, 3)
        await file.append('def', 3, 3)
        await file.flush(3, { retainUncommittedData })
        t.equal((await file.getProperties()).contentLength, 3)
        if (retainUncommittedData) {
          await file.flush(6, { close: true })
          t.equal((await file.readToBuffer()).toString(), 'abcdef')
        } else {
          await rejectsWith(t, file.flush(6), [400, 'InvalidFlushPosition'])
        }
      }
    })

    t.test('a large upload in parallel pieces arrives whole', async (t) => {
      const data = Buffer.alloc(3 * 1024 * 1024 + 17, 'abcdefg')
      const file = fs.getFileClient('large')
      await file.upload(data, {
        chunkSize: 256 * 1024,
        singleUploadThreshold: 1,
        maxConcurrency: 4,
      })
      t.ok((await file.readToBuffer()).equals(data))
    })

    t.test('a rename moves a tree with everything in it in one call', async (t) => {
      await put(fs, 'tree/x/one', '1')
      await put(fs, 'tree/two', '2')
      const before = await fs.getFileClient('tree/x/one').getProperties()
      await fs.getDirectoryClient('tree').move('moved')

      t.strictSame(await names(fs, { path: 'moved' }), ['moved/two', 'moved/x', 'moved/x/one'])
      t.equal(await fs.getDirectoryClient('tree').exists(), false)
      t.equal(await text(fs, 'moved/x/one'), '1')
      const after = await fs.getFileClient('moved/x/one').getProperties()
      t.equal(after.etag, before.etag, 'the etag stays')
    })

    t.test('a rename goes from one file system to another', async (t) => {
      const other = server[style].getFileSystemClient(`target-${style.toLowerCase()}`)
      await other.create()
      await put(fs, 'across/in/file', 'far')
      await fs.getDirectoryClient('across').move(other.name, 'arrived')

      t.strictSame(await names(other), ['arrived', 'arrived/in', 'arrived/in/file'])
      t.equal(await text(other, 'arrived/in/file'), 'far')
      t.equal(await fs.getDirectoryClient('across').exists(), false)
    })

    t.test('a rename replaces a file unless If-None-Match forbids it', async (t) => {
      await put(fs, 'new', 'new')
      await put(fs, 'old', 'old')
      const only = { destinationConditions: { ifNoneMatch: '*' } }
      const refused = fs.getFileClient('new').move('old', only)
      await rejectsWith(t, refused, [409, 'PathAlreadyExists'])
      await fs.getFileClient('new').move('old')
      t.equal(await text(fs, 'old'), 'new')
      t.equal(await fs.getFileClient('new').exists(), false)
    })

    t.test('names with blanks, percents, question marks and umlauts work', async (t) => {
      for (const name of ['a b', '50%', 'ü/ß', '+&=', '日本']) {
        await put(fs, `odd/${name}`, name)
        t.equal(await text(fs, `odd/${name}`), name)
      }
      await fs.getFileClient('odd/a b').move('odd/c d')
      t.equal(await text(fs, 'odd/c d'), 'a b')
    })
  })
}

t.test('what a rename refuses', async (t) => {
  const { hostStyle, account } = await startDfsServer(t)
  const fs = hostStyle.getFileSystemClient(fileSystemName)
  await put(fs, 'dir/file', 'x')
  await put(fs, 'plain', 'p')
  await fs.getDirectoryClient('empty').create()

  t.test('the parent of the destination must exist', async (t) => {
    const refused = fs.getFileClient('plain').move('nowhere/plain')
    await rejectsWith(t, refused, [404, 'RenameDestinationParentPathNotFound'])
  })

  t.test('the parent of the destination must be a directory', async (t) => {
    const refused = fs.getDirectoryClient('empty').move('plain/below')
    await rejectsWith(t, refused, [409, 'InvalidDestinationPath'])
  })

  t.test('the source must exist', async (t) => {
    await rejectsWith(t, fs.getFileClient('missing').move('x'), [404, 'SourcePathNotFound'])
  })

  t.test('a file does not go onto a directory, nor a directory onto a file', async (t) => {
    const code = 'InvalidSourceOrDestinationResourceType'
    await rejectsWith(t, fs.getFileClient('plain').move('empty'), [409, code])
    await rejectsWith(t, fs.getDirectoryClient('empty').move('plain'), [409, code])
  })

  t.test('a directory does not go onto one that holds something', async (t) => {
    const refused = fs.getDirectoryClient('empty').move('dir')
    await rejectsWith(t, refused, [409, 'PathAlreadyExists'])
  })

  t.test('nothing goes under itself', async (t) => {
    const refused = fs.getDirectoryClient('dir').move('dir/below')
    await rejectsWith(t, refused, [409, 'InvalidRenameSourcePath'])
    const onto = fs.getDirectoryClient('dir').move('dir')
    await rejectsWith(t, onto, [409, 'InvalidRenameSourcePath'])
  })

  t.test('conditions on the source and on the destination hold', async (t) => {
    const plain = fs.getFileClient('plain')
    const stale = { ifMatch: '"0x1"' }
    await rejectsWith(t, plain.move('x', { conditions: stale }), [412, 'SourceConditionNotMet'])
    const onFile = plain.move('dir/file', { destinationConditions: stale })
    await rejectsWith(t, onFile, [412, 'ConditionNotMet'])
  })

  t.test('nothing of all that moved anything', async (t) => {
    t.strictSame(await names(fs), ['dir', 'dir/file', 'empty', 'plain'])
  })

  t.test('a directory replaces an empty one, and its lease goes with it', async (t) => {
    await fs.getDirectoryClient('dir').move('empty')
    t.strictSame(await names(fs), ['empty', 'empty/file', 'plain'])
  })

  t.test('leases of source and destination must be named', async (t) => {
    const plain = fs.getFileClient('plain')
    const lease = plain.getDataLakeLeaseClient()
    const { leaseId = '' } = await lease.acquireLease(60)
    await rejectsWith(t, plain.move('elsewhere'), [412, 'LeaseIdMissing'])
    const onto = fs.getFileClient('empty/file').move('plain')
    await rejectsWith(t, onto, [412, 'LeaseIdMissing'])
    await plain.move('elsewhere', { conditions: { leaseId } })
    t.ok(account.container(fileSystemName)?.paths.get('elsewhere')?.lease, 'the lease moves along')
  })
})

t.test('what a deletion refuses and does', async (t) => {
  const open = await startDfsServer(t, {}, openAccess)
  const { hostStyle, account } = open
  const fs = hostStyle.getFileSystemClient(fileSystemName)
  await put(fs, 'dir/sub/file', 'x')

  t.test('a directory that holds something goes only recursively', async (t) => {
    const directory = fs.getDirectoryClient('dir')
    await rejectsWith(t, directory.delete(false), [409, 'DirectoryNotEmpty'])
    await directory.delete(true)
    t.strictSame(await names(fs), [])
  })

  t.test('what is missing is 404', async (t) => {
    await rejectsWith(t, fs.getFileClient('dir').delete(), [404, 'PathNotFound'])
  })

  t.test('a condition that is not met keeps the file', async (t) => {
    await put(fs, 'kept', 'k')
    const stale = { conditions: { ifMatch: '"0x1"' } }
    const refused = fs.getFileClient('kept').delete(false, stale)
    await rejectsWith(t, refused, [412, 'ConditionNotMet'])
    t.equal(await text(fs, 'kept'), 'k')
  })

  t.test('a large tree goes in pages that a continuation links', async (t) => {
    const paths = account.container(fileSystemName)?.paths
    await put(fs, 'big/d0/e/file', 'x')
    const file = paths?.get('big/d0/e/file')?.current
    for (let at = 0; at < 2500; at++) {
      paths?.put({ name: `big/d0/${at}`, current: file })
    }
    const left: (number | undefined)[] = []
    let continuation = ''
    do {
      const target = `/${fileSystemName}/big?recursive=true&paginated=true&continuation=`
      const page = await open.raw('DELETE', target + encodeURIComponent(continuation))
      t.equal(page.status, 200)
      continuation = page.headers['x-ms-continuation']?.toString() ?? ''
      left.push(paths?.size)
    } while (continuation !== '')
    t.strictSame(left, [1506, 507, 1], 'at most a thousand at a time, the directory last')
  })
})

t.test('creating', async (t) => {
  const { hostStyle, clock } = await startDfsServer(t)
  const fs = hostStyle.getFileSystemClient(fileSystemName)

  t.test('If-None-Match: * keeps what is there', async (t) => {
    await put(fs, 'once', 'first')
    const only = { conditions: { ifNoneMatch: '*' } }
    await rejectsWith(t, fs.getFileClient('once').create(only), [409, 'PathAlreadyExists'])
    t.equal((await fs.getFileClient('once').createIfNotExists()).succeeded, false)
    t.equal(await text(fs, 'once'), 'first')
  })

  t.test('without a condition what is there is replaced', async (t) => {
    await put(fs, 'twice', 'first')
    await fs.getFileClient('twice').create()
    t.equal(await text(fs, 'twice'), '')
  })

  t.test('a directory that is made again keeps what it holds', async (t) => {
    await put(fs, 'again/file', 'x')
    await fs.getDirectoryClient('again').create()
    t.equal(await text(fs, 'again/file'), 'x')
  })

  t.test('a file is no directory and a directory no file', async (t) => {
    await put(fs, 'file', '')
    await fs.getDirectoryClient('directory').create()
    await rejectsWith(t, fs.getDirectoryClient('file').create(), [409, 'PathConflict'])
    await rejectsWith(t, fs.getFileClient('directory').create(), [409, 'PathConflict'])
    await rejectsWith(t, fs.getFileClient('file/below').create(), [409, 'PathConflict'])
  })

  t.test('a leased file is replaced only by who names the lease', async (t) => {
    await put(fs, 'leased', 'x')
    const file = fs.getFileClient('leased')
    const { leaseId } = await file.getDataLakeLeaseClient().acquireLease(-1)
    await rejectsWith(t, file.create(), [412, 'LeaseIdMissing'])
    await rejectsWith(t, file.append('y', 1, 1), [412, 'LeaseIdMissing'])
    await file.create({ conditions: leaseId === undefined ? {} : { leaseId } })
  })

  t.test('properties, content headers, rights, lease and expiry come with the file', async (t) => {
    const file = fs.getFileClient('dressed')
    await file.create({
      metadata: { colour: 'blue' },
      pathHttpHeaders: { contentType: 'text/plain', cacheControl: 'no-cache' },
      permissions: '0777',
      umask: '0022',
      owner: 'somebody',
      group: 'team',
      leaseDuration: 15,
      proposedLeaseId: '11111111-1111-4111-8111-111111111111',
      expiresOn: 60_000,
    })
    const found = await file.getProperties()
    t.match(found, {
      contentType: 'text/plain',
      cacheControl: 'no-cache',
      metadata: { colour: 'blue' },
      leaseState: 'leased',
      leaseDuration: 'fixed',
      permissions: { group: { read: true, write: false, execute: true } },
    })
    t.equal(found.expiresOn?.getTime(), Math.floor(clock.nowMs() / 1000) * 1000 + 60_000)
    const rights = await file.getAccessControl()
    t.match(rights, { owner: 'somebody', group: 'team' })
    t.equal((await fs.listPaths().next()).value?.name, 'again')
  })
})

t.test('expiry', async (t) => {
  const { hostStyle, clock } = await startDfsServer(t)
  const fs = hostStyle.getFileSystemClient(fileSystemName)

  t.test('a file is gone for both faces once its time is over', async (t) => {
    await put(fs, 'short', 'x')
    const file = fs.getFileClient('short')
    await file.setExpiry('RelativeToNow', { timeToExpireInMs: 5_000 })
    t.equal(await file.exists(), true)
    await clock.advance(5_001)
    t.equal(await file.exists(), false, 'the blob face')
    t.strictSame(await names(fs), [], 'the dfs face')
    await rejectsWith(t, file.append('y', 1, 1), [404, 'PathNotFound'])
  })

  t.test('each way to set it', async (t) => {
    await put(fs, 'each', 'x')
    const file = fs.getFileClient('each')
    const createdMs = (await file.getProperties()).createdOn?.getTime() ?? 0
    await file.setExpiry('RelativeToCreation', { timeToExpireInMs: 100_000 })
    t.equal((await file.getProperties()).expiresOn?.getTime(), createdMs + 100_000)
    const expiresOn = new Date(createdMs + 200_000)
    await file.setExpiry('Absolute', { expiresOn })
    t.equal((await file.getProperties()).expiresOn?.getTime(), expiresOn.getTime())
    await file.setExpiry('NeverExpire')
    t.equal((await file.getProperties()).expiresOn, undefined)
  })

  t.test('a directory has none', async (t) => {
    await fs.getDirectoryClient('dir').create()
    const directory = fs.getFileClient('dir')
    await rejectsWith(t, directory.setExpiry('NeverExpire'), [409, 'PathConflict'])
  })
})

t.test('leases on paths', async (t) => {
  const { hostStyle } = await startDfsServer(t)
  const fs = hostStyle.getFileSystemClient(fileSystemName)
  await put(fs, 'file', 'x')
  await fs.getDirectoryClient('dir').create()

  for (const path of ['file', 'dir']) {
    t.test(`a ${path} is leased, renewed, changed, broken and released`, async (t) => {
      const lease = fs.getFileClient(path).getDataLakeLeaseClient()
      await lease.acquireLease(15)
      await lease.renewLease()
      await lease.changeLease('22222222-2222-4222-8222-222222222222')
      const other = fs.getFileClient(path).getDataLakeLeaseClient()
      await rejectsWith(t, other.acquireLease(15), [409, 'LeaseAlreadyPresent'])
      t.ok(await lease.breakLease(0))
      await lease.releaseLease()
    })
  }
})

t.test('access control lists', async (t) => {
  const { hostStyle } = await startDfsServer(t)
  const fs = hostStyle.getFileSystemClient(fileSystemName)
  await put(fs, 'tree/sub/file', 'x')
  await put(fs, 'tree/other', 'x')
  const directory = fs.getDirectoryClient('tree')
  const reader = { accessControlType: 'user', entityId: 'reader', defaultScope: false } as const
  const permissions = { read: true, write: false, execute: true }

  t.test('owner, group, permissions and list are set and got', async (t) => {
    const file = fs.getFileClient('tree/other')
    await file.setPermissions(
      {
        owner: { read: true, write: true, execute: true },
        group: permissions,
        other: { read: false, write: false, execute: false },
        stickyBit: false,
        extendedAcls: false,
      },
      { owner: 'me', group: 'us' },
    )
    const found = await file.getAccessControl()
    t.match(found, { owner: 'me', group: 'us', permissions: { group: permissions } })
    await file.setAccessControl([...found.acl, { ...reader, permissions }])
    const changed = await file.getAccessControl()
    t.match(changed.acl, [
      {},
      { entityId: 'reader', permissions },
      {},
      { accessControlType: 'mask' },
    ])
    t.equal(changed.permissions?.extendedAcls, true)
  })

  t.test('a tree is changed in one call, or batch by batch with progress', async (t) => {
    const update = await directory.updateAccessControlRecursive([{ ...reader, permissions }])
    t.match(update.counters, {
      changedDirectoriesCount: 2,
      changedFilesCount: 2,
      failedChangesCount: 0,
    })
    const batches: number[] = []
    await directory.removeAccessControlRecursive([reader], {
      batchSize: 1,
      onProgress: ({ batchCounters: { changedDirectoriesCount: a, changedFilesCount: b } }) =>
        batches.push(a + b),
    })
    t.strictSame(batches, [1, 1, 1, 1])
    const { acl } = await fs.getFileClient('tree/sub/file').getAccessControl()
    t.equal(
      acl.some(({ entityId }) => entityId === 'reader'),
      false,
    )
  })

  t.test('what a directory lets inherit comes to its children', async (t) => {
    const { acl } = await directory.getAccessControl()
    const inherited = [...acl, { ...reader, permissions }]
    await directory.setAccessControl([
      ...inherited,
      ...inherited.map((entry) => ({ ...entry, defaultScope: true })),
    ])
    await put(fs, 'tree/deep/er/file', 'x')
    const found = await fs.getFileClient('tree/deep/er/file').getAccessControl()
    t.ok(found.acl.find(({ entityId }) => entityId === 'reader'))
  })
})

t.test('a directory signature renames within its directory only', async (t) => {
  const { hostStyle } = await startDfsServer(t)
  const fs = hostStyle.getFileSystemClient(fileSystemName)
  await put(fs, 'mine/file', 'x')
  await put(fs, 'theirs/file', 'y')
  const url = await fs.getDirectoryClient('mine').generateSasUrl({
    permissions: DirectorySASPermissions.parse('racwdlm'),
    expiresOn: new Date(Date.now() + 60_000),
  })
  const query = new URL(url).search
  const signed = (path: string) => {
    const address = fs.getFileClient(path).url
    return new DataLakeFileClient(address + query, new AnonymousCredential(), {
      keepAliveOptions: { enable: false },
      retryOptions: { maxTries: 1 },
    })
  }
  const theirs = signed('theirs/file').move('mine/stolen')
  await rejectsWith(t, theirs, [403, 'AuthenticationFailed'])
  const away = signed('mine/file').move('theirs/given')
  await rejectsWith(t, away, [403, 'AuthenticationFailed'])
  await signed('mine/file').move(`mine/moved${query}`)
  t.strictSame(await names(fs), ['mine', 'mine/moved', 'theirs', 'theirs/file'])
})

t.test('deleted paths are listed and come back', async (t) => {
  const { hostStyle } = await startDfsServer(t, { softDeleteDays: 3 })
  const fs = hostStyle.getFileSystemClient(fileSystemName)
  await put(fs, 'file', 'once')
  await put(fs, 'dir/file', 'twice')
  await fs.getFileClient('file').delete()
  await fs.getDirectoryClient('dir').delete(true)

  const deleted: { name: string; deletionId?: string | undefined }[] = []
  for await (const { name, deletionId } of fs.listDeletedPaths()) {
    deleted.push({ name, deletionId })
  }
  t.match(deleted, [{ name: 'dir' }, { name: 'file' }])
  for (const { name, deletionId = '' } of deleted) {
    await fs.undeletePath(name, deletionId)
  }
  t.strictSame(await names(fs), ['dir', 'dir/file', 'file'])
  t.equal(await text(fs, 'dir/file'), 'twice')
})
