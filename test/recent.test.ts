import { LRUCache } from 'lru-cache'
import t from 'tap'
import { rememberingRecent, roomFor } from '../src/recent.ts'

function counted(least: number) {
  const made: string[] = []
  const get = rememberingRecent((key: string) => {
    made.push(key)
    return { key }
  }, least)
  return { made, get }
}

t.test('what was asked for lately is made once, and is the same object', async (t) => {
  const { made, get } = counted(3)
  const first = get('a')
  for (const key of ['b', 'c', 'a', 'b', 'c', 'a']) get(key)
  t.equal(get('a'), first)
  t.same(made, ['a', 'b', 'c'])
})

t.test('what is asked for again and again outlives any number of others', async (t) => {
  const { made, get } = counted(4)
  for (let i = 0; i < 100; i++) {
    get('often')
    get(`${i}`)
  }
  t.equal(made.filter((key) => key === 'often').length, 1)
})

t.test('what nobody asks for is forgotten', async (t) => {
  const { made, get } = counted(2)
  get('once')
  for (let i = 0; i < 6; i++) get(`${i}`)
  get('once')
  t.equal(made.filter((key) => key === 'once').length, 2)
})

t.test('a failure is not remembered', async (t) => {
  let calls = 0
  const get = rememberingRecent(() => {
    if (++calls === 1) throw new TypeError('no')
    return 'yes'
  })
  t.throws(() => get('a'), { message: 'no' })
  t.equal(get('a'), 'yes')
})

t.test('a cache has room for so many, and takes memory for those it holds', async (t) => {
  const cache = new LRUCache<string, string>(roomFor(2))
  for (const key of ['a', 'b', 'c']) cache.set(key, key)
  t.same([...cache.keys()], ['c', 'b'])

  const before = process.memoryUsage()
  const many = Array.from({ length: 100 }, () => new LRUCache<string, string>(roomFor(100_000)))
  const after = process.memoryUsage()

  t.equal(many.length, 100)
  const taken = after.heapUsed - before.heapUsed + after.arrayBuffers - before.arrayBuffers
  // 270 MB where each took its room at once.
  t.ok(taken < 20e6, `${taken} bytes`)
})
