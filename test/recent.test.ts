import t from 'tap'
import { rememberingRecent } from '../src/recent.ts'

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
