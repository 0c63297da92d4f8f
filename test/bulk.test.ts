import t from 'tap'
import { Bulk, BulkError, bulkPhase, runAll } from '../src/bulk.ts'
import { FileSystemError } from '../src/errors.ts'

const refused = (path: string) =>
  new FileSystemError('EACCES', 'blob.put', { path, requestId: 'r1', retryable: false })
const options = { concurrency: 4, syscall: 'put', pathOf: (path: string) => path }

/** A task that fails for `bad` until they are mended, and keeps what it did. */
function task(bad: Set<string>) {
  const done: string[] = []
  const run = async (path: string) => {
    if (bad.has(path)) throw refused(path)
    done.push(path)
  }
  return { done, run }
}

t.test('all failures are told, in order, and only they are retried', async (t) => {
  const bad = new Set(['b', 'd'])
  const { done, run } = task(bad)

  const error = await runAll(['a', 'b', 'c', 'd'], options, run).catch((error: unknown) => error)

  if (!(error instanceof BulkError)) throw new Error('expected a BulkError')
  t.match(error, { code: 'EACCES', path: 'b', requestId: 'r1', syscall: 'put', waiting: 0 })
  t.strictSame(error.ok, ['a', 'c'])
  t.strictSame(
    error.failed.map(({ path }) => path),
    ['b', 'd'],
  )
  t.match(error.message, /2 of 4 paths failed, the first with: EACCES/)
  t.match(error.cause, { errors: [{ path: 'b' }, { path: 'd' }] })
  bad.delete('b')
  await t.rejects(error.retry(), { message: /1 of 4 paths failed: EACCES/ })
  bad.clear()
  const result = await error.retry()
  t.match(result, { failed: [], waiting: 0 })
  t.strictSame([...result.ok].sort(), ['a', 'b', 'c', 'd'])
  t.strictSame(done, ['a', 'c', 'b', 'd'], 'nothing is done twice')
})

t.test('after many failures what has not begun waits, and is done by the retry', async (t) => {
  const paths = Array.from({ length: 100 }, (_, index) => `${index}`)
  const bad = new Set(paths.slice(0, 50))
  const { done, run } = task(bad)

  const error = await runAll(paths, options, run).catch((error: unknown) => error)

  if (!(error instanceof BulkError)) throw new Error('expected a BulkError')
  t.ok(error.failed.length >= 20 && error.failed.length < 24, `${error.failed.length} failures`)
  t.equal(error.ok.length + error.failed.length + error.waiting, 100)
  bad.clear()
  t.equal((await error.retry()).ok.length, 100)
  t.equal(new Set(done).size, done.length)
})

t.test('with return everything is tried and nothing is thrown', async (t) => {
  const paths = Array.from({ length: 100 }, (_, index) => `${index}`)
  const bad = new Set(paths.slice(0, 50))

  const result = await runAll(paths, { ...options, onError: 'return' }, task(bad).run)

  t.equal(result.failed.length, 50)
  t.equal(result.ok.length, 50)
  t.equal(result.waiting, 0)
})

t.test('a phase begins when the one before it is whole', async (t) => {
  const bad = new Set(['b'])
  const files = task(bad)
  const links = task(new Set())
  const path = (path: string) => path
  const bulk = new Bulk(
    [bulkPhase(['a', 'b'], path, files.run), bulkPhase(['link'], path, links.run)],
    options,
  )

  await t.rejects(bulk.run(), { code: 'EACCES', waiting: 1 })
  t.strictSame(links.done, [])
  bad.clear()
  await bulk.run()
  t.strictSame(files.done, ['a', 'b'])
  t.strictSame(links.done, ['link'])
})

t.test('one thing to do fails as itself; what is below a path is told one by one', async (t) => {
  const inner = new BulkError('rm', {
    ok: [],
    failed: ['x/1', 'x/2'].map((path) => ({ path, error: refused(path) })),
    waiting: 0,
    retry: () => Promise.reject(new Error('not called')),
  })

  const alone = runAll(['a'], options, task(new Set(['a'])).run)
  t.notOk((await alone.catch((error: unknown) => error)) instanceof BulkError)
  const work = runAll(['x', 'y'], options, async (path) => {
    if (path === 'x') throw inner
  })
  const error = await work.catch((error: unknown) => error)
  t.match(error, { failed: [{ path: 'x/1' }, { path: 'x/2' }], waiting: 0, ok: ['y'] })
})

t.test('an abort ends it at once, with the reason', async (t) => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const { signal } = controller
  const work = runAll(['a', 'b'], { ...options, concurrency: 1, signal }, async () => {
    controller.abort(reason)
  })

  await t.rejects(work, reason)
})

t.test(
  'each run is told of its end, and what the end says fails only a run that went well',
  async (t) => {
    const bad = new Set(['b', 'c'])
    const { run } = task(bad)
    let ends = 0
    let end: () => Promise<void> = async () => undefined
    const onEnd = () => {
      ends += 1
      return end()
    }

    const error = await runAll(['a', 'b', 'c'], { ...options, onEnd }, run).catch(
      (thrown) => thrown,
    )
    if (!(error instanceof BulkError)) throw new Error('expected a BulkError')
    t.equal(ends, 1)
    end = async () => {
      throw new Error('no room for the record')
    }
    await t.rejects(error.retry(), { code: 'EACCES' })
    t.equal(ends, 2)
    bad.clear()
    await t.rejects(error.retry(), { message: 'no room for the record' })
    t.equal(ends, 3)
    end = async () => undefined
    t.match(await error.retry(), { failed: [], waiting: 0 })
    t.equal(ends, 4)
  },
)
