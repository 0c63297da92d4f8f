import { as, type Case, make, product, types, user } from '../case.ts'

/** Sizes, holes, ranges, locks, mappings and extended attributes. */
export function contentCases(): readonly Case[] {
  return [
    ...truncations(),
    ...allocations(),
    ...badRanges(),
    ...seeks(),
    ...copies(),
    ...locks(),
    ...mappings(),
    ...attributes(),
    {
      name: 'statvfs: names and blocks',
      calls: ['statvfs . namemax => 255', 'statvfs . sane => yes'],
    },
  ]
}

const sizes = [0, 1, 7, 511, 4096, 4097, 123456, 9_000_000]
const text = 'abcdefgh*1000'

function truncations(): Case[] {
  const ways: Readonly<Record<string, (size: number) => readonly string[]>> = {
    truncate: (size) => [`truncate a ${size} => 0`],
    ftruncate: (size) => ['open f a O_RDWR => open', `ftruncate f ${size} => 0`, 'fstat f size'],
  }
  const ranges = product(Object.entries(ways), sizes).map(([[name, calls], size]) => ({
    name: `${name}: to ${size}`,
    calls: [
      'open s a O_WRONLY|O_CREAT 0644 => open',
      `write s ${text} => 8000`,
      'close s => 0',
      ...calls(size),
      `stat a size => ${size}`,
      'open r a O_RDONLY => open',
      'pread r 0 20',
      'pread r 7990 30',
      `pread r ${Math.max(0, size - 10)} 20`,
      'truncate a 20 => 0',
      'truncate a 40 => 0',
      'pread r 0 50',
    ],
  }))
  return [
    ...ranges,
    ...types.map((type) => ({
      name: `truncate: a ${type}`,
      calls: [
        make(type, 'a'),
        ...(type === 'char' || type === 'block' ? [] : ['truncate a 3']),
        'truncate a -1',
      ],
    })),
    {
      name: 'truncate: beyond what any file can have',
      calls: [
        make('file', 'a'),
        'truncate a 9223372036854775807',
        'stat a size',
        'truncate a -5 => EINVAL',
      ],
    },
    {
      name: 'truncate: without leave',
      calls: [make('file', 'a'), as(user), 'truncate a 3 => EACCES', 'stat a size => 0'],
    },
  ]
}

const keep = 'FALLOC_FL_KEEP_SIZE'
const punch = `FALLOC_FL_PUNCH_HOLE|${keep}`
const zero = 'FALLOC_FL_ZERO_RANGE'

function allocations(): Case[] {
  const fallocate = ['0', keep, punch, zero, `${zero}|${keep}`]
  const ranges: readonly (readonly [number, number])[] = [
    [0, 100],
    [3, 5],
    [7000, 3000],
    [8000, 10],
    [20000, 4096],
    [0, 5_000_000],
  ]
  const name = (call: string): string => call.replace(/FALLOC_FL_/g, '')
  const shown = ['fstat f size', 'pread f 0 20', 'pread f 6990 30', 'pread f 7990 30', 'close f']
  const start = ['open f a O_RDWR|O_CREAT 0644 => open', `write f ${text} => 8000`]
  return [
    ...product(fallocate, product(ranges, ['at once', 'reopened'])).map(
      ([mode, [[at, length], when]]) => ({
        name: `fallocate: ${name(mode)} of ${length} from ${at}, ${when}`,
        calls: [
          ...start,
          ...(when === 'reopened' ? ['close f => 0', 'open f a O_RDWR => open'] : []),
          `fallocate f ${mode} ${at} ${length} => 0`,
          ...shown,
          'stat a size',
        ],
      }),
    ),
    ...ranges.map(([at, length]) => ({
      name: `posix_fallocate: ${length} from ${at}`,
      calls: [...start, `posix_fallocate f ${at} ${length} => 0`, ...shown, 'stat a size'],
    })),
  ]
}

function badRanges(): Case[] {
  const calls = [
    'posix_fallocate f 0 0 => EINVAL',
    'posix_fallocate f -1 10 => EINVAL',
    'posix_fallocate f 0 -1 => EINVAL',
    'fallocate f 0 0 0 => EINVAL',
    'fallocate f FALLOC_FL_PUNCH_HOLE 0 10 => EOPNOTSUPP',
    'fallocate f 0 9223372036854775800 1 ',
    'fallocate f 0 9223372036854775807 1 => EFBIG',
    'ftruncate f -1 => EINVAL',
    'pread f -1 5',
    'pwrite f -1 x => EINVAL',
    'lseek f -1 SEEK_SET => EINVAL',
    'posix_fallocate none 0 10 => EBADF',
    'ftruncate none 0 => EBADF',
    'fsync none => EBADF',
  ]
  return calls.map((call) => ({
    name: `${call.split(' ')[0]}: ${call.split(' => ')[0]}`,
    calls: [
      'open f a O_RDWR|O_CREAT 0644 => open',
      'write f abc => 3',
      call.trim(),
      'fstat f size',
    ],
  }))
}

function seeks(): Case[] {
  return product(['SEEK_DATA', 'SEEK_HOLE', 'SEEK_END', 'SEEK_SET'], [-1, 0, 3, 8, 9, 100]).map(
    ([whence, offset]) => ({
      name: `lseek: ${whence} from ${offset} in eight bytes`,
      calls: [
        'open f a O_RDWR|O_CREAT 0644 => open',
        'write f abcdefgh => 8',
        'fsync f => 0',
        `lseek f ${offset} ${whence}`,
        'read f 3',
        'lseek f 0 SEEK_CUR',
      ],
    }),
  )
}

function copies(): Case[] {
  const ranges: readonly (readonly [number, number, number])[] = [
    [0, 0, 8000],
    [0, 0, 1_000_000],
    [100, 5, 50],
    [7990, 8000, 100],
    [9000, 0, 10],
    [0, 4096, 4096],
  ]
  return product(ranges, ['a new file', 'a stored file', 'itself'] as const).map(
    ([[from, to, length], target]) => ({
      name: `copy_file_range: ${length} from ${from} to ${to} of ${target}`,
      calls: [
        'open s a O_RDWR|O_CREAT 0644 => open',
        `write s ${text} => 8000`,
        'fsync s => 0',
        ...(target === 'a stored file'
          ? ['open t b O_WRONLY|O_CREAT 0644 => open', 'write t old*3000 => 9000', 'close t => 0']
          : []),
        ...(target === 'itself'
          ? ['open t a O_RDWR => open']
          : ['open t b O_RDWR|O_CREAT 0640 => open']),
        `copy_file_range s ${from} t ${to} ${length}`,
        'fstat t size',
        'pread t 0 60',
        `pread t ${to} 30`,
        'write t W',
        'close t => 0',
        'stat b size,mode',
        'open r b O_RDONLY',
        'pread r 0 60',
      ],
    }),
  )
}

function locks(): Case[] {
  const open = 'open f a O_RDWR|O_CREAT 0666 => open'
  const kinds = ['LOCK_SH', 'LOCK_EX']
  const types2 = ['F_RDLCK', 'F_WRLCK']
  return [
    ...product(kinds, kinds).map(([mine, theirs]) => ({
      name: `flock: ${theirs} where another process has ${mine}`,
      calls: [
        open,
        `flock f ${mine} => 0`,
        `other-flock a ${theirs}|LOCK_NB => ${mine === 'LOCK_SH' && theirs === 'LOCK_SH' ? '0' : 'EAGAIN'}`,
        'flock f LOCK_UN => 0',
        `other-flock a ${theirs}|LOCK_NB => 0`,
      ],
    })),
    ...product(types2, types2).map(([mine, theirs]) => ({
      name: `fcntl: ${theirs} where another process has ${mine}`,
      calls: [
        open,
        `setlk f ${mine} 10 20 => 0`,
        `other-setlk a ${theirs} 15 1 => ${mine === 'F_RDLCK' && theirs === 'F_RDLCK' ? '0' : 'EAGAIN'}`,
        `other-setlk a ${theirs} 30 5 => 0`,
        'setlk f F_UNLCK 0 0 => 0',
        `other-setlk a ${theirs} 15 1 => 0`,
      ],
    })),
  ]
}

function mappings(): Case[] {
  return [0, 10, 4090, 7990].map((offset) => ({
    name: `mmap: a shared mapping written at ${offset}`,
    calls: [
      'open f a O_RDWR|O_CREAT 0644 => open',
      `write f ${text} => 8000`,
      `mapped f ${offset} MAPPED => 0`,
      `pread f ${Math.max(0, offset - 5)} 20`,
      'close f => 0',
      'open r a O_RDONLY => open',
      `pread r ${Math.max(0, offset - 5)} 20`,
      'stat a size => 8000',
    ],
  }))
}

function attributes(): Case[] {
  const value = (name: string, data: string): Case => ({
    name: `setxattr: ${name} as ${data.slice(0, 20)} of ${data.length}`,
    calls: [
      make('file', 'a'),
      `setxattr a ${name} ${data} => 0`,
      `getxattr a ${name}`,
      'listxattr a',
      'chmod a 0600 => 0',
      'ls .',
      `getxattr a ${name}`,
      `removexattr a ${name} => 0`,
      `getxattr a ${name} => ENODATA`,
      'listxattr a => none',
    ],
  })
  const names = [
    'user.a',
    'user.UPPER',
    'user.mixed.Case',
    'user.%C3%A4',
    'user.a%20b',
    'user.permissions',
    'user.1',
    `user.${'n'.repeat(200)}`,
  ]
  return [
    ...names.map((name) => value(name, 'value')),
    ...['%00%01%FF', '%20spaced%20', 'x*1000', '%C3%A4', 'a=b;c,d', ''].map((data) =>
      value('user.a', data),
    ),
    ...types
      .filter((type) => type !== 'link')
      .map((type) => ({
        name: `setxattr: on a ${type}`,
        calls: [
          make(type, 'a'),
          'setxattr a user.b x',
          'getxattr a user.b',
          'listxattr a',
          'stat a type',
        ],
      })),
    {
      name: 'setxattr: flags',
      calls: [
        make('file', 'a'),
        'setxattr a user.b 1 XATTR_REPLACE => ENODATA',
        'setxattr a user.b 1 XATTR_CREATE => 0',
        'setxattr a user.b 2 XATTR_CREATE => EEXIST',
        'setxattr a user.b 3 XATTR_REPLACE => 0',
        'setxattr a user.B 4 => 0',
        'getxattr a user.b => =3',
        'listxattr a => user.B,user.b',
        'removexattr a user.c => ENODATA',
      ],
    },
    {
      name: 'setxattr: names too long and values too large',
      calls: [
        make('file', 'a'),
        `setxattr a user.${'n'.repeat(260)} 1 => ERANGE`,
        'setxattr a user. 1 => EINVAL',
        'setxattr a other.x 1 => EOPNOTSUPP',
        'getxattr a user.missing => ENODATA',
      ],
    },
    {
      name: 'setxattr: without leave',
      calls: [
        make('file', 'a'),
        'setxattr a user.b 1 => 0',
        as(user),
        'setxattr a user.c 1 => EACCES',
        'removexattr a user.b => EACCES',
        'getxattr a user.b => =1',
      ],
    },
    {
      name: 'setxattr: of a file that is being written, and kept by what changes it',
      calls: [
        'open f a O_RDWR|O_CREAT 0644 => open',
        'fsetxattr f user.b one => 0',
        'write f abc => 3',
        'getxattr a user.b => =one',
        'close f => 0',
        'getxattr a user.b => =one',
        'open f a O_RDWR => open',
        'pwrite f 1 X => 1',
        'fsetxattr f user.c two => 0',
        'close f => 0',
        'rename a z => 0',
        'listxattr z => user.b,user.c',
        'getxattr z user.c => =two',
        'open f z O_WRONLY|O_TRUNC => open',
        'close f => 0',
        'listxattr z => user.b,user.c',
      ],
    },
  ]
}
