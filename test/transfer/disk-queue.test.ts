import t from 'tap'
import { DiskQueue } from '../../src/transfer/disk-queue.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

/** A queue of 100 bytes, whose writes end when a test says so, in the order in which they began. */
function setUp() {
  const clock = new FakeClock()
  const queue = new DiskQueue(clock, 100)
  const writing: { readonly name: string; readonly end: () => void }[] = []
  const begun: string[] = []
  const add = (name: string, sizeBytes: number) => {
    const begin = () => {
      begun.push(name)
      return () => new Promise<void>((resolve) => void writing.push({ name, end: resolve }))
    }
    return queue.add(sizeBytes, begin)
  }
  const endOne = async () => {
    writing.shift()?.end()
    await settle()
  }
  const endAll = async () => {
    while (writing.length > 0) await endOne()
  }
  return { clock, queue, writing, begun, add, endOne, endAll }
}

t.test('what fits is taken at once, and two are written at a time', async (t) => {
  const { queue, writing, add, endAll } = setUp()
  t.equal(add('a', 40), true)
  t.equal(add('b', 40), true)
  t.equal(add('c', 20), true)
  await settle()
  t.same(
    writing.map(({ name }) => name),
    ['a', 'b'],
  )
  const settled = queue.settled()
  await endAll()
  await settled
})

t.test('what does not fit waits for room, in the order it came', async (t) => {
  const { begun, add, endOne, endAll } = setUp()
  void add('a', 60)
  void add('b', 30)
  const long = add('long', 80)
  const short = add('short', 5)
  await endOne()
  t.same(begun, ['a', 'b'], 'the short one does not pass the long one')
  await endOne()
  t.equal(await long, true)
  t.equal(await short, true)
  t.same(begun, ['a', 'b', 'long', 'short'])
  await endAll()
})

t.test('what is longer than the queue is taken alone', async (t) => {
  const { begun, add, endAll } = setUp()
  t.equal(add('huge', 1000), true)
  const next = add('next', 1)
  t.same(begun, ['huge'])
  await endAll()
  t.equal(await next, true)
  await endAll()
})

t.test('a disk that hangs is waited for once', async (t) => {
  const { clock, begun, add, endOne, endAll } = setUp()
  void add('a', 100)
  const waiting = [add('b', 10), add('c', 10)]
  await clock.advance(999)
  t.same(begun, ['a'])
  await clock.advance(1)
  t.same(await Promise.all(waiting), [false, false])
  t.equal(add('d', 10), false, 'nobody waits any more')

  await endOne()
  t.equal(add('e', 60), true, 'it gets on')
  t.equal(typeof add('f', 60), 'object', 'and is waited for again')
  await endAll()
  await endAll()
  t.equal(clock.sleeping, 0, 'no timer is left')
})

t.test('all is settled only when what waited is written too', async (t) => {
  const { queue, add, endOne } = setUp()
  void add('a', 100)
  void add('b', 100)
  let isSettled = false
  const settled = queue.settled().then(() => {
    isSettled = true
  })
  await endOne()
  t.notOk(isSettled)
  await endOne()
  await settled
  t.ok(isSettled)
})
