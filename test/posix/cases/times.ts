import { as, type Case, leaves, make, product, remove, stranger, types, user } from '../case.ts'

/** What moves which time, and what sets it. */
export function timeCases(): readonly Case[] {
  return [...parents(), ...own(), ...unmoved(), ...sets(), ...omissions(), ...whoMaySet()]
}

const makers: Readonly<Record<string, string>> = {
  mkdir: 'mkdir d/a 0755',
  mkfifo: 'mkfifo d/a 0644',
  mknod: 'mknod d/a f 0644 0 0',
  symlink: 'symlink t d/a',
  open: 'open f d/a O_RDWR|O_CREAT 0644',
  bind: 'bind d/a',
  'rename into': 'rename other d/a',
}

/** Names that come and go move the times of their directory. */
function parents(): Case[] {
  const made = Object.entries(makers).map(([name, call]) => ({
    name: `${name}: moves the times of the directory`,
    calls: ['mkdir d 0755 => 0', make('file', 'other'), 'mark d', call, 'since d => mtime,ctime'],
  }))
  const removed = types.map((type) => ({
    name: `${type === 'dir' ? 'rmdir' : 'unlink'}: of a ${type} moves the times of the directory`,
    calls: [
      'mkdir d 0755 => 0',
      make(type, 'd/a'),
      'mark d',
      `${remove(type, 'd/a')} => 0`,
      'since d => mtime,ctime',
    ],
  }))
  const renamed = types.map((type) => ({
    name: `rename: of a ${type} moves the times of both directories`,
    calls: [
      'mkdir d 0755 => 0',
      'mkdir e 0755 => 0',
      make(type, 'd/a'),
      'mark d',
      'mark e',
      'rename d/a e/b => 0',
      'since d => mtime,ctime',
      'since e => mtime,ctime',
    ],
  }))
  return [...made, ...removed, ...renamed]
}

const changes: Readonly<Record<string, readonly string[]>> = {
  chmod: ['chmod a 0600 => 0', 'since a => ctime'],
  'chmod to what it is': ['chmod a 0644 => 0', 'since a => ctime'],
  chown: [`chown a ${user} ${user} => 0`, 'since a => ctime'],
  'chown to what it is': ['chown a 0 0 => 0', 'since a => ctime'],
  'chown of nothing': ['chown a -1 -1 => 0', 'since a'],
  utimensat: ['utimensat a 1 0 2 0 => 0', 'since a => ctime'],
  'utimensat to now': ['utimensat a 0 NOW 0 NOW => 0', 'since a => mtime,ctime'],
  rename: ['rename a b => 0', 'since b a'],
  link: ['link a b', 'since a'],
}

function own(): Case[] {
  const generic = product(['file', 'dir', 'fifo'] as const, Object.entries(changes)).map(
    ([type, [name, calls]]) => ({
      name: `${name.split(' ')[0]}: times after ${name} of a ${type}`,
      calls: [make(type, 'a'), 'mark a', ...calls],
    }),
  )
  const content: Readonly<Record<string, readonly string[]>> = {
    truncate: ['truncate a 100 => 0', 'since a => mtime,ctime'],
    'truncate to its size': ['truncate a 0 => 0', 'since a => mtime,ctime'],
    ftruncate: ['open f a O_RDWR', 'ftruncate f 10 => 0', 'since a => mtime,ctime'],
    'ftruncate to its size': ['open f a O_RDWR', 'ftruncate f 0 => 0', 'since a => mtime,ctime'],
    write: [
      'open f a O_RDWR',
      'write f x => 1',
      'since a => mtime,ctime',
      'close f',
      'since a => mtime,ctime',
    ],
    'write of nothing': ['open f a O_RDWR', 'pwrite f 0 %00*0 => 0', 'since a'],
    'open O_TRUNC': ['open f a O_RDWR|O_TRUNC', 'since a'],
    'open and close': ['open f a O_RDWR', 'close f', 'since a => same'],
    read: ['open f a O_RDONLY', 'read f 10', 'close f', 'since a => same'],
    posix_fallocate: ['open f a O_RDWR', 'posix_fallocate f 0 100', 'since a'],
    mmap: [
      'open f a O_RDWR',
      'ftruncate f 10',
      'mark a',
      'mapped f 0 hi',
      'close f',
      'since a => mtime,ctime',
    ],
    setxattr: ['setxattr a user.b 1 => 0', 'since a => ctime'],
    removexattr: [
      'setxattr a user.b 1 => 0',
      'mark a',
      'removexattr a user.b => 0',
      'since a => ctime',
    ],
  }
  const files = Object.entries(content).map(([name, calls]) => ({
    name: `${name.split(' ')[0]}: times after ${name}`,
    calls: [make('file', 'a'), 'mark a', ...calls],
  }))
  return [...generic, ...files]
}

/** What fails moves nothing. */
function unmoved(): Case[] {
  const failures: Readonly<Record<string, readonly string[]>> = {
    chmod: ['chmod d/a 0600 => EPERM', 'since d/a => same'],
    chown: [`chown d/a ${user} ${user} => EPERM`, 'since d/a => same'],
    truncate: ['truncate d/a 4 => EACCES', 'since d/a => same'],
    utimensat: ['utimensat d/a 1 2 3 4 => EPERM', 'since d/a => same'],
    mkdir: ['mkdir d/b 0755 => EACCES', 'since d => same'],
    mkfifo: ['mkfifo d/b 0755 => EACCES', 'since d => same'],
    mknod: ['mknod d/b f 0755 0 0 => EACCES', 'since d => same'],
    symlink: ['symlink t d/b => EACCES', 'since d => same'],
    open: ['open f d/b O_RDWR|O_CREAT 0644 => EACCES', 'since d => same'],
    unlink: ['unlink d/a => EACCES', 'since d => same', 'since d/a => same'],
    rename: ['rename d/a d/b => EACCES', 'since d => same', 'since d/a => same'],
    'link of it': ['link d/a d/b', 'since d => same', 'since d/a => same'],
    'rmdir of it': ['rmdir d/a', 'since d => same'],
  }
  return Object.entries(failures).map(([name, calls]) => ({
    name: `${name.split(' ')[0]}: moves no time when ${name} fails`,
    calls: ['mkdir d 0755 => 0', make('file', 'd/a'), 'mark d/a', 'mark d', as(user), ...calls],
  }))
}

const moments = [
  ['0', '0'],
  ['1', '1'],
  ['1700000000', '123456789'],
  ['1700000000', '999999999'],
  ['-1', '500000000'],
  ['-86400', '0'],
  ['4294967296', '5'],
  ['2147483648', '7'],
  ['10000000000', '1'],
]

function sets(): Case[] {
  return product([...leaves, 'dir', 'link'] as const, moments).map(([type, [seconds, ns]]) => ({
    name: `utimensat: a ${type} to ${seconds}.${ns?.padStart(9, '0')}`,
    calls: [
      make(type, 'a'),
      `utimensat a 1234567 890 ${seconds} ${ns} nofollow => 0`,
      'lstat a atime,mtime',
      'ls .',
      `utimensat a ${seconds} ${ns} 7 8 nofollow => 0`,
      'lstat a atime,mtime',
    ],
  }))
}

function omissions(): Case[] {
  const pairs = product(['5 6', '0 OMIT', '0 NOW'], ['7 8', '0 OMIT', '0 NOW'])
  return pairs.flatMap(([atime, mtime]) => [
    {
      name: `utimensat: ${atime} and ${mtime}`,
      calls: [
        make('file', 'a'),
        'utimensat a 100 200 300 400 => 0',
        'mark a',
        `utimensat a ${atime} ${mtime} => 0`,
        'since a',
        ...(atime.endsWith('NOW') ? [] : ['stat a atime']),
        ...(mtime.endsWith('NOW') ? [] : ['stat a mtime']),
      ],
    },
    {
      name: `futimens: ${atime} and ${mtime} of an open file`,
      calls: [
        'open f a O_RDWR|O_CREAT 0644 => open',
        'write f x => 1',
        'futimens f 100 200 300 400 => 0',
        `futimens f ${atime} ${mtime} => 0`,
        'close f => 0',
        ...(atime.endsWith('NOW') ? [] : ['stat a atime']),
        ...(mtime.endsWith('NOW') ? [] : ['stat a mtime']),
      ],
    },
  ])
}

function whoMaySet(): Case[] {
  const wishes = [
    '1 2 3 4',
    '0 NOW 0 NOW',
    '0 NOW 0 OMIT',
    '0 OMIT 0 OMIT',
    '0 NOW 3 4',
    '1 -1 2 3',
    '1 1000000000 2 3',
  ]
  return product(wishes, product(['0644', '0646'], [0, user, stranger])).map(
    ([wish, [mode, caller]]) => ({
      name: `utimensat: ${wish} of a file ${mode} of ${user} by ${caller}`,
      calls: [
        make('file', 'a'),
        `chown a ${user} ${user}`,
        `chmod a ${mode}`,
        as(caller),
        `utimensat a ${wish}`,
      ],
    }),
  )
}
