import { randomUUID } from 'node:crypto'
import t from 'tap'
import { refusalOf, startBlobServer } from '../support/blob-server.ts'

t.test('leases of blobs', async (t) => {
  const { container, clock } = await startBlobServer(t)
  const leased = async (name: string, seconds: number) => {
    const blob = container.getBlockBlobClient(name)
    await blob.upload('one', 3)
    const lease = blob.getBlobLeaseClient(randomUUID())
    await lease.acquireLease(seconds)
    return { blob, lease }
  }

  t.test('an acquired lease keeps out writes without its id and with another', async (t) => {
    const { blob, lease } = await leased('held', -1)
    const other = randomUUID()

    t.equal(await refusalOf(blob.upload('two', 3)), '412 LeaseIdMissing')
    t.equal(
      await refusalOf(blob.upload('two', 3, { conditions: { leaseId: other } })),
      '412 LeaseIdMismatchWithBlobOperation',
    )
    t.equal(await refusalOf(blob.delete()), '412 LeaseIdMissing')
    t.equal(await refusalOf(blob.setMetadata({ a: 'b' })), '412 LeaseIdMissing')
    await blob.upload('two', 3, { conditions: { leaseId: lease.leaseId } })
    const { leaseState, leaseStatus, leaseDuration } = await blob.getProperties()
    t.strictSame([leaseState, leaseStatus, leaseDuration], ['leased', 'locked', 'infinite'])
  })

  t.test('reads need no id, and fail with a wrong one', async (t) => {
    const { blob } = await leased('read', -1)

    t.equal((await blob.downloadToBuffer()).toString(), 'one')
    const wrong = { conditions: { leaseId: randomUUID() } }
    t.equal(await refusalOf(blob.getProperties(wrong)), '412 LeaseIdMismatchWithBlobOperation')
  })

  t.test('an id sent to a blob without a lease is 412', async (t) => {
    const blob = container.getBlockBlobClient('free')
    await blob.upload('one', 3)
    const conditions = { leaseId: randomUUID() }

    t.equal(
      await refusalOf(blob.upload('two', 3, { conditions })),
      '412 LeaseNotPresentWithBlobOperation',
    )
  })

  t.test('a held lease is acquired again by its own id alone', async (t) => {
    const { blob, lease } = await leased('again', 15)

    t.equal(
      await refusalOf(blob.getBlobLeaseClient(randomUUID()).acquireLease(15)),
      '409 LeaseAlreadyPresent',
    )
    await lease.acquireLease(60)
    t.equal((await blob.getProperties()).leaseDuration, 'fixed')
  })

  t.test('a fixed lease expires, is lost to its holder, and can be renewed', async (t) => {
    const { blob, lease } = await leased('expiring', 15)
    await clock.advance(15_000)

    t.equal((await blob.getProperties()).leaseState, 'expired')
    const conditions = { leaseId: lease.leaseId }
    t.equal(await refusalOf(blob.upload('two', 3, { conditions })), '412 LeaseLost')
    await lease.renewLease()
    t.equal((await blob.getProperties()).leaseState, 'leased')
  })

  t.test('an expired lease cannot be renewed once the blob was written', async (t) => {
    const { blob, lease } = await leased('overwritten', 15)
    await clock.advance(15_000)
    await blob.upload('two', 3)

    t.equal((await blob.getProperties()).leaseState, 'available')
    t.equal(await refusalOf(lease.renewLease()), '409 LeaseIdMismatchWithLeaseOperation')
  })

  t.test('breaking an infinite lease without a period frees the blob at once', async (t) => {
    const { blob, lease } = await leased('broken', -1)

    t.equal((await blob.getBlobLeaseClient().breakLease(undefined as never)).leaseTime, 0)
    t.equal((await blob.getProperties()).leaseState, 'broken')
    t.equal(await refusalOf(lease.renewLease()), '409 LeaseIsBrokenAndCannotBeRenewed')
    await blob.upload('two', 3)
  })

  t.test('a lease that breaks holds until the period is over', async (t) => {
    const { blob, lease } = await leased('breaking', -1)

    t.equal((await lease.breakLease(30)).leaseTime, 30)
    t.equal((await blob.getProperties()).leaseState, 'breaking')
    t.equal(await refusalOf(blob.upload('two', 3)), '412 LeaseIdMissing')
    t.equal(await refusalOf(lease.acquireLease(15)), '409 LeaseIsBreakingAndCannotBeAcquired')
    t.equal(
      await refusalOf(lease.changeLease(randomUUID())),
      '409 LeaseIsBreakingAndCannotBeChanged',
    )
    await clock.advance(30_000)
    t.equal((await blob.getProperties()).leaseState, 'broken')
    await blob.getBlobLeaseClient(randomUUID()).acquireLease(15)
  })

  t.test('a second break may shorten the period and not lengthen it', async (t) => {
    const { lease } = await leased('twice', 60)

    t.equal((await lease.breakLease(20)).leaseTime, 20)
    t.equal((await lease.breakLease(50)).leaseTime, 20)
    t.equal((await lease.breakLease(5)).leaseTime, 5)
  })

  t.test('a lease changes its id for its holder alone', async (t) => {
    const { blob, lease } = await leased('changed', 15)
    const next = randomUUID()
    const stranger = blob.getBlobLeaseClient(randomUUID())

    t.equal(
      await refusalOf(stranger.changeLease(randomUUID())),
      '409 LeaseIdMismatchWithLeaseOperation',
    )
    await lease.changeLease(next)
    t.equal(lease.leaseId, next)
    await lease.releaseLease()
    t.equal((await blob.getProperties()).leaseState, 'available')
  })

  t.test('what has no lease cannot be broken, changed or renewed', async (t) => {
    const blob = container.getBlockBlobClient('never')
    await blob.upload('one', 3)
    const lease = blob.getBlobLeaseClient(randomUUID())

    t.equal(await refusalOf(lease.breakLease(0)), '409 LeaseNotPresentWithLeaseOperation')
    t.equal(
      await refusalOf(lease.changeLease(randomUUID())),
      '409 LeaseNotPresentWithLeaseOperation',
    )
    t.equal(await refusalOf(lease.renewLease()), '409 LeaseIdMismatchWithLeaseOperation')
  })

  t.test('durations outside 15 to 60 seconds and ids that are no GUIDs are 400', async (t) => {
    const blob = container.getBlockBlobClient('malformed')
    await blob.upload('one', 3)

    t.equal(
      await refusalOf(blob.getBlobLeaseClient(randomUUID()).acquireLease(14)),
      '400 InvalidHeaderValue',
    )
    t.equal(
      await refusalOf(blob.getBlobLeaseClient('not-a-guid').acquireLease(15)),
      '400 InvalidHeaderValue',
    )
  })

  t.test('a lease neither changes the etag nor needs a blob less than a blob', async (t) => {
    const { blob, lease } = await leased('etag', 15)
    const { etag } = await blob.getProperties()

    await lease.renewLease()
    t.equal((await blob.getProperties()).etag, etag)
    const absent = container.getBlockBlobClient('absent').getBlobLeaseClient(randomUUID())
    t.equal(await refusalOf(absent.acquireLease(15)), '404 BlobNotFound')
  })
})

t.test('leases of containers', async (t) => {
  const { container, clock } = await startBlobServer(t)

  t.test('are acquired, renewed, changed, broken and released', async (t) => {
    const lease = container.getBlobLeaseClient(randomUUID())

    await lease.acquireLease(15)
    await lease.renewLease()
    await lease.changeLease(randomUUID())
    t.equal((await lease.breakLease(10)).leaseTime, 10)
    await clock.advance(10_000)
    await lease.releaseLease()
    t.equal(await refusalOf(lease.breakLease(0)), '409 LeaseNotPresentWithLeaseOperation')
  })
})
