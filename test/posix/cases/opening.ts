import { as, type Case, leaves, make, product, subsets, user } from '../case.ts'

/** open(2) with every flag on everything that a name can be. */
export function openingCases(): readonly Case[] {
  return [
    ...matrix(),
    ...rareFlags(),
    ...special(),
    ...permissions(),
    ...unlinked(),
    ...renamed(),
    ...temporary(),
  ]
}

const modes = ['O_RDONLY', 'O_WRONLY', 'O_RDWR'] as const

const things: Readonly<Record<string, readonly string[]>> = {
  nothing: [],
  'an empty file': ['open s a O_WRONLY|O_CREAT 0640 => open', 'close s => 0'],
  'a small file': [
    'open s a O_WRONLY|O_CREAT 0640 => open',
    'write s content => 7',
    'close s => 0',
  ],
  'a large file': [
    'open s a O_WRONLY|O_CREAT 0640 => open',
    'pwrite s 300000 end => 3',
    'close s => 0',
  ],
  'a directory': ['mkdir a 0750 => 0'],
  'a link to a file': [
    'open s b O_WRONLY|O_CREAT 0640 => open',
    'write s content => 7',
    'close s => 0',
    'symlink b a => 0',
  ],
  'a link to nothing': ['symlink b a => 0'],
}

/** What shows how a file was opened. */
const uses = [
  'write f new',
  'pwrite f 2 WW',
  'pread f 0 20',
  'lseek f 0 SEEK_CUR',
  'ftruncate f 5',
  'fstat f type,size,mode',
  'fsync f',
  'close f',
  'stat a type,size,mode',
  'open r a O_RDONLY',
  'pread r 0 20',
]

function matrix(): Case[] {
  const flags = subsets(['O_CREAT', 'O_EXCL', 'O_TRUNC', 'O_APPEND'])
  return product(Object.entries(things), product(modes, flags)).map(
    ([[thing, calls], [mode, some]]) => ({
      name: `open: ${thing} with ${[mode, some].filter(Boolean).join('|')}`,
      calls: [...calls, `open f a ${[mode, some].filter(Boolean).join('|')} 0604`, ...uses],
    }),
  )
}

function rareFlags(): Case[] {
  const flags = [
    'O_NOFOLLOW',
    'O_DIRECTORY',
    'O_DIRECTORY|O_NOFOLLOW',
    'O_SYNC|O_CREAT',
    'O_DSYNC|O_CREAT',
    'O_NONBLOCK',
    'O_NOATIME',
    'O_PATH',
    'O_NOFOLLOW|O_CREAT',
    'O_NOFOLLOW|O_TRUNC',
    'O_DIRECTORY|O_TRUNC',
  ]
  return product(Object.entries(things), product(modes, flags)).map(
    ([[thing, calls], [mode, some]]) => ({
      name: `open: ${thing} with ${mode}|${some}`,
      calls: [...calls, `open f a ${mode}|${some} 0604`, ...uses],
    }),
  )
}

function special(): Case[] {
  return [
    ...leaves
      .filter((type) => type === 'fifo' || type === 'socket')
      .flatMap((type) =>
        modes.map((mode) => ({
          name: `open: a ${type} with ${mode}|O_NONBLOCK`,
          calls: [make(type, 'a'), `open f a ${mode}|O_NONBLOCK`, 'fstat f type', 'write f x'],
        })),
      ),
    {
      name: 'open: a fifo carries bytes from writer to reader',
      calls: [
        'mkfifo a 0644 => 0',
        'open r a O_RDONLY|O_NONBLOCK => open',
        'open w a O_WRONLY => open',
        'write w hello => 5',
        'read r 10 => =hello',
        'close w => 0',
        'read r 10 => =',
        'unlink a => 0',
      ],
    },
    {
      name: 'open: two appenders take turns',
      calls: [
        'open a x O_WRONLY|O_CREAT|O_APPEND 0644 => open',
        'open b x O_WRONLY|O_APPEND => open',
        'write a one => 3',
        'write b two => 3',
        'write a three => 5',
        'pwrite b 0 four => 4',
        'open r x O_RDONLY => open',
        'pread r 0 100 => =onetwothreefour',
      ],
    },
    {
      name: 'open: one process truncates what another reads',
      calls: [
        'open w x O_RDWR|O_CREAT 0644 => open',
        'write w abcdef => 6',
        'open r x O_RDONLY => open',
        'pread r 0 9 => =abcdef',
        'open t x O_WRONLY|O_TRUNC => open',
        'pread r 0 9 => =',
        'fstat r size => 0',
        'pwrite w 3 Z => 1',
        'pread r 0 9',
        'write t Q',
        'pread r 0 9',
      ],
    },
    {
      name: 'open: a descriptor that may read cannot write, and the other way round',
      calls: [
        'open w x O_WRONLY|O_CREAT 0400 => open',
        'write w abc => 3',
        'pread w 0 3 => EBADF',
        'open r x O_RDONLY => open',
        'write r x => EBADF',
        'ftruncate r 0 => EINVAL',
        'fallocate r 0 0 10 => EBADF',
      ],
    },
  ]
}

function permissions(): Case[] {
  const bits = ['0000', '0200', '0400', '0600', '0060', '0006', '0444', '0222']
  return product(bits, product(modes, ['', 'O_TRUNC', 'O_CREAT', 'O_APPEND'])).map(
    ([mode, [access, flag]]) => ({
      name: `open: a file ${mode} of the caller's with ${access}|${flag || 'nothing'}`,
      calls: [
        make('file', 'a'),
        `chown a ${user} ${user} => 0`,
        `chmod a ${mode} => 0`,
        as(user),
        `open f a ${[access, flag].filter(Boolean).join('|')} 0644`,
        'write f x',
        'stat a size,mode',
      ],
    }),
  )
}

function unlinked(): Case[] {
  const gone: Readonly<Record<string, string>> = {
    unlinked: 'unlink a => 0',
    'replaced by another': 'rename b a => 0',
  }
  const opened: Readonly<Record<string, string>> = {
    reading: 'O_RDONLY',
    writing: 'O_WRONLY',
    'reading and writing': 'O_RDWR',
  }
  return product(Object.entries(gone), Object.entries(opened)).flatMap(
    ([[how, call], [purpose, mode]]) =>
      ['before the first read', 'after a read'].map((when) => ({
        name: `open: a file that is ${how} while open for ${purpose}, ${when}`,
        calls: [
          'open s a O_WRONLY|O_CREAT 0644 => open',
          'write s abcdef*50000 => 300000',
          'close s => 0',
          'open s b O_WRONLY|O_CREAT 0644 => open',
          'write s other => 5',
          'close s => 0',
          `open f a ${mode} => open`,
          ...(when === 'after a read' ? ['pread f 0 6'] : []),
          call,
          'fstat f size,nlink => 300000,0',
          'pread f 0 6',
          'pread f 299994 10',
          'pwrite f 2 XY',
          'pread f 0 6',
          'ftruncate f 4',
          'pread f 0 9',
          'fchmod f 0600 => 0',
          'futimens f 1 0 2 0 => 0',
          'fstat f size,mode,mtime',
          'fsync f',
          'close f => 0',
          'stat a size',
          'ls .',
        ],
      })),
  )
}

function renamed(): Case[] {
  return modes.map((mode) => ({
    name: `rename: a file that is open with ${mode}`,
    calls: [
      'mkdir d 0755 => 0',
      'open s a O_WRONLY|O_CREAT 0644 => open',
      'write s abcdef => 6',
      'close s => 0',
      `open f a ${mode} => open`,
      'rename a d/b => 0',
      'pread f 0 9',
      'pwrite f 3 XYZW',
      'fstat f size,nlink',
      'rename d e => 0',
      'pread f 0 9',
      'fchmod f 0611 => 0',
      'close f => 0',
      'stat e/b size,mode',
      'open r e/b O_RDONLY => open',
      'pread r 0 9',
    ],
  }))
}

function temporary(): Case[] {
  return [
    {
      name: 'open: O_TMPFILE',
      calls: ['open f . O_RDWR|O_TMPFILE 0600', 'write f x', 'pread f 0 3', 'ls .'],
    },
    {
      name: 'open: write a temporary file, save it and put it in place',
      calls: [
        'open s a O_WRONLY|O_CREAT 0644 => open',
        'write s old => 3',
        'close s => 0',
        'open f .tmp O_RDWR|O_CREAT|O_EXCL 0600 => open',
        'write f new => 3',
        'fsync f => 0',
        'fchmod f 0644 => 0',
        'rename .tmp a => 0',
        'write f er => 2',
        'close f => 0',
        'stat a size,mode => 5,0644',
        'open r a O_RDONLY => open',
        'pread r 0 9 => =newer',
        'ls . => a:file',
      ],
    },
    {
      name: 'open: a lock file is made once',
      calls: [
        'open f lock O_RDWR|O_CREAT|O_EXCL 0600 => open',
        'open g lock O_RDWR|O_CREAT|O_EXCL 0600 => EEXIST',
        'unlink lock => 0',
        'open g lock O_RDWR|O_CREAT|O_EXCL 0600 => open',
        'write f a => 1',
        'write g bb => 2',
        'fstat f size,nlink => 1,0',
        'fstat g size,nlink => 2,1',
        'ls . => lock:file',
      ],
    },
  ]
}
