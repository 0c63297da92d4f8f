/** A number from 0 to `limit` - 1; the same ones for the same seed. */
export type Random = (limit: number) => number

/** A xorshift generator: all that matters is that it is the same everywhere. */
export function randomFrom(seed: number): Random {
  let state = (Math.imul(seed, 0x9e3779b1) ^ 0x2545f491) | 1
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

/** Calls for `system-calls.cc`, most of which succeed: files, directories, links, descriptors. */
export function randomCalls(seed: number, count: number): string[] {
  const state: State = { random: randomFrom(seed), open: ['none'], opened: 0 }
  const start = ['mkdir d 0755', 'mkdir d/e 0755']
  return [...start, ...Array.from({ length: count }, () => nextCall(state))]
}

interface State {
  readonly random: Random
  /** Slots that hold a descriptor, if opening it succeeded. */
  readonly open: string[]
  opened: number
}

type Maker = (state: State) => string

const names = ['a', 'b', 'c', 'd', 'l', 'd/a', 'd/b', 'd/e', 'd/e/a', 'd/e/f', 'f', 'f/a'] as const
const accesses = ['O_RDONLY', 'O_WRONLY', 'O_RDWR', 'O_RDWR', 'O_RDWR'] as const
const modes = ['0644', '0600', '0755', '04711', '01755', '0000'] as const
const times = ['1 5', '12345678 987654321', '7 0'] as const
/** 0, KEEP_SIZE, PUNCH_HOLE with it, ZERO_RANGE without and with it. */
const allocations = [0, 1, 3, 16, 17] as const

const makers: readonly (readonly [weight: number, Maker])[] = [
  [14, open],
  [9, close],
  [12, (s) => `pwrite ${slot(s)} ${offset(s)} ${data(s)}`],
  [6, (s) => `write ${slot(s)} ${data(s)}`],
  [8, (s) => `pread ${slot(s)} ${offset(s)} ${s.random(9000)}`],
  [3, (s) => `read ${slot(s)} ${s.random(3000)}`],
  [2, (s) => `lseek ${slot(s)} ${s.random(5000)} SEEK_${pick(s, ['SET', 'CUR'])}`],
  [4, (s) => `ftruncate ${slot(s)} ${offset(s)}`],
  [3, (s) => `truncate ${name(s)} ${offset(s)}`],
  [3, (s) => `fallocate ${slot(s)} ${pick(s, allocations)} ${offset(s)} ${1 + s.random(9000)}`],
  [1, (s) => `copy_file_range ${slot(s)} ${offset(s)} ${slot(s)} ${offset(s)} ${s.random(5000)}`],
  [3, (s) => `fsync ${slot(s)}`],
  [1, (s) => `fdatasync ${slot(s)}`],
  [6, (s) => `rename ${name(s)} ${name(s)}`],
  [1, (s) => `renameat2 ${name(s)} ${name(s)} RENAME_NOREPLACE`],
  [4, (s) => `unlink ${name(s)}`],
  [3, (s) => `mkdir ${name(s)} 0755`],
  [2, (s) => `rmdir ${name(s)}`],
  [2, (s) => `symlink ${pick(s, ['a', 'd/b', 'd', 'nowhere'])} ${name(s)}`],
  [1, (s) => `readlink ${name(s)}`],
  [3, (s) => `ls ${pick(s, ['.', 'd', 'd/e', 'f'])}`],
  [5, (s) => `lstat ${name(s)} common`],
  [3, (s) => `stat ${name(s)} common`],
  [4, (s) => `fstat ${slot(s)} common`],
  [2, (s) => `chmod ${name(s)} ${pick(s, modes)}`],
  [1, (s) => `fchmod ${slot(s)} ${pick(s, modes)}`],
  [1, (s) => `lchown ${name(s)} ${s.random(3)} ${s.random(3)}`],
  [2, (s) => `utimensat ${name(s)} 1 1 ${pick(s, times)}`],
  [1, (s) => `futimens ${slot(s)} 1 1 ${pick(s, times)}`],
]

const deck = makers.flatMap(([weight, maker]) => Array.from({ length: weight }, () => maker))

function nextCall(state: State): string {
  return pick(state, deck)(state)
}

function open(state: State): string {
  const made = `s${state.opened++}`
  const flags = [
    pick(state, accesses),
    ...(state.random(3) < 2 ? ['O_CREAT'] : []),
    ...(state.random(8) === 0 ? ['O_EXCL'] : []),
    ...(state.random(4) === 0 ? ['O_TRUNC'] : []),
    ...(state.random(5) === 0 ? ['O_APPEND'] : []),
    ...(state.random(12) === 0 ? ['O_SYNC'] : []),
    ...(state.random(12) === 0 ? ['O_NOFOLLOW'] : []),
  ]
  // Without O_CREAT, O_EXCL means nothing that POSIX says.
  const sensible = flags.includes('O_CREAT') ? flags : flags.filter((flag) => flag !== 'O_EXCL')
  const call = `open ${made} ${name(state)} ${sensible.join('|')} ${pick(state, modes)}`
  state.open.push(made)
  return call
}

/** Closes the oldest half of the time, so that some files stay open for long and others do not. */
function close(state: State): string {
  const at = state.open.length > 12 ? 0 : state.random(state.open.length)
  const [closed = 'none'] = state.open.splice(at, 1)
  return `close ${closed}`
}

function slot(state: State): string {
  return state.open.length === 0 ? 'none' : pick(state, state.open)
}

function name(state: State): string {
  return pick(state, names)
}

/** Mostly near the beginning; sometimes past what a block or the spool's memory holds. */
function offset(state: State): number {
  return state.random(6) === 0 ? state.random(200_000) : state.random(6000)
}

function data(state: State): string {
  const letter = String.fromCharCode(97 + state.random(26))
  return `${letter}${state.random(1000)};*${1 + state.random(state.random(5) === 0 ? 9000 : 200)}`
}

function pick<T>({ random }: State, from: readonly T[]): T {
  const picked = from[random(from.length)]
  if (picked === undefined) throw new RangeError('nothing to pick from')
  return picked
}
