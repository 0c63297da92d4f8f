import {
  as,
  type Case,
  type FileType,
  leaves,
  make,
  product,
  remove,
  stranger,
  types,
  user,
} from '../case.ts'

/** Making, removing and renaming names of every type. */
export function nameCases(): readonly Case[] {
  return [
    ...present(),
    ...removals(),
    ...renames(),
    ...renameFlags(),
    ...trees(),
    ...sticky(),
    ...stickyRenames(),
    ...targets(),
    ...links(),
    ...oddNames(),
  ]
}

const makers: Readonly<Record<string, (name: string) => string>> = {
  mkdir: (name) => `mkdir ${name} 0755`,
  mkfifo: (name) => `mkfifo ${name} 0644`,
  mknod: (name) => `mknod ${name} f 0644 0 0`,
  'mknod c': (name) => `mknod ${name} c 0644 1 2`,
  'mknod s': (name) => `mknod ${name} s 0644 0 0`,
  symlink: (name) => `symlink t ${name}`,
  open: (name) => `open f ${name} O_RDWR|O_CREAT|O_EXCL 0644`,
  bind: (name) => `bind ${name}`,
}

function present(): Case[] {
  return product(Object.keys(makers), types).map(([maker, type]) => ({
    name: `${maker}: a ${type} of the name is there`,
    calls: [
      make(type, 'a'),
      `${makers[maker]?.('a')} => ${maker === 'bind' ? 'EADDRINUSE' : 'EEXIST'}`,
      'lstat a type,mode',
    ],
  }))
}

function removals(): Case[] {
  const wrong: Partial<Record<FileType, string>> = { dir: 'EISDIR' }
  return types.flatMap((type) => [
    {
      name: `unlink: a ${type}`,
      calls: [make(type, 'a'), `unlink a => ${wrong[type] ?? '0'}`, 'lstat a type', 'ls .'],
    },
    {
      name: `rmdir: a ${type}`,
      calls: [make(type, 'a'), `rmdir a => ${type === 'dir' ? '0' : 'ENOTDIR'}`, 'lstat a type'],
    },
    {
      name: `rmdir: a directory with a ${type} in it`,
      calls: [
        'mkdir d 0755 => 0',
        make(type, 'd/a'),
        'rmdir d => ENOTEMPTY',
        `${remove(type, 'd/a')} => 0`,
        'rmdir d => 0',
        'ls . => empty',
      ],
    },
    {
      name: `mknod: what a ${type} is and what it is again after a removal`,
      calls: [
        make(type, 'a', '0640'),
        'lstat a type,mode,uid,gid,rdev',
        `${remove(type, 'a')} => 0`,
        ...types.flatMap((next) => [make(next, 'a'), 'lstat a type', `${remove(next, 'a')} => 0`]),
      ],
    },
    {
      name: `open: O_CREAT beside a ${type} that a listing knows`,
      calls: [make(type, 'a'), 'ls .', 'open f b O_RDWR|O_CREAT 0600', 'ls .', 'close f', 'ls .'],
    },
  ])
}

function renames(): Case[] {
  return product(types, types).flatMap(([from, to]) =>
    ['rename a b', 'renameat2 a b RENAME_NOREPLACE'].map((call) => ({
      name: `${call}: a ${from} over a ${to}`,
      calls: [make(from, 'a'), make(to, 'b'), call, 'lstat a type', 'lstat b type', 'ls .'],
    })),
  )
}

function renameFlags(): Case[] {
  return types.flatMap((type) => [
    {
      name: `rename: a ${type} to a free name`,
      calls: [
        make(type, 'a', '0604'),
        'rename a b => 0',
        'lstat a type => ENOENT',
        'lstat b type,mode',
      ],
    },
    {
      name: `rename: a ${type} to itself`,
      calls: [make(type, 'a', '0604'), 'rename a a => 0', 'lstat a type,mode'],
    },
    {
      name: `rename: a ${type} into another directory and back`,
      calls: [
        make(type, 'a', '0604'),
        'mkdir d 0755 => 0',
        'rename a d/b => 0',
        'ls d',
        'rename d/b c => 0',
        'ls d => empty',
        'lstat c type,mode',
      ],
    },
    {
      name: `renameat2: NOREPLACE of a ${type} to a free name`,
      calls: [make(type, 'a'), 'renameat2 a b RENAME_NOREPLACE => 0', 'ls .'],
    },
    {
      name: `renameat2: EXCHANGE of a ${type} with a file`,
      calls: [make(type, 'a'), make('file', 'b'), 'renameat2 a b RENAME_EXCHANGE', 'ls .'],
    },
  ])
}

function trees(): Case[] {
  const tree = ['mkdir d 0755 => 0', 'mkdir d/e 0755 => 0', make('file', 'd/e/f')]
  return [
    ['into itself', 'rename d d/x', 'EINVAL'],
    ['deep into itself', 'rename d d/e/x', 'EINVAL'],
    ['over the directory above', 'rename d/e d', 'ENOTEMPTY'],
    ['over an empty directory', 'rename d empty', '0'],
    ['over one with a file', 'rename d full', 'ENOTEMPTY'],
    ['to a free name', 'rename d new', '0'],
    ['with a slash at its end', 'rename d/ new/', '0'],
    ['of dot', 'rename d/. new', 'EBUSY'],
    ['of dot dot', 'rename d/e/.. new', 'EBUSY'],
    ['to below a file', 'rename d full/a/b', 'ENOTDIR'],
  ].map(([name, call, result]) => ({
    name: `rename: a tree ${name}`,
    calls: [
      ...tree,
      'mkdir empty 0755 => 0',
      'mkdir full 0755 => 0',
      make('file', 'full/a'),
      `${call} => ${result}`,
      'ls .',
      'ls new',
      'ls new/e',
      'ls empty',
      'ls d',
    ],
  }))
}

/** Who may remove what from a directory with the sticky bit: its owner and the name's. */
function sticky(): Case[] {
  const owners = [0, user, stranger]
  return product(types, product(owners, owners)).flatMap(([type, [directory, file]]) => ({
    name: `${type === 'dir' ? 'rmdir' : 'unlink'}: a ${type} of ${file} in a sticky directory of ${directory}`,
    calls: [
      'mkdir d 0777 => 0',
      make(type, 'd/a'),
      `lchown d/a ${file} ${file} => 0`,
      `chown d ${directory} ${directory} => 0`,
      'chmod d 01777 => 0',
      as(user),
      `${remove(type, 'd/a')} => ${directory === user || file === user ? '0' : 'EPERM'}`,
      as(0),
      'ls d',
    ],
  }))
}

function stickyRenames(): Case[] {
  const owners = [user, stranger]
  const kinds = ['file', 'dir', 'fifo'] as const
  return product(kinds, product(owners, owners)).flatMap(([type, [directory, file]]) => {
    const set = (name: string): string[] => [
      make(type, name),
      `lchown ${name} ${file} ${file} => 0`,
    ]
    const free = [`mkdir e 0777 => 0`, 'mkdir d 0777 => 0']
    const stick = [`chown d ${directory} ${directory} => 0`, 'chmod d 01777 => 0', as(user)]
    const words = `a ${type} of ${file}`
    return [
      {
        name: `rename: ${words} out of a sticky directory of ${directory}`,
        calls: [...free, ...set('d/a'), ...stick, 'rename d/a e/a', as(0), 'ls d', 'ls e'],
      },
      {
        name: `rename: over ${words} in a sticky directory of ${directory}`,
        calls: [
          ...free,
          ...set('d/a'),
          make(type, 'e/b'),
          `chown e/b ${user} ${user} => 0`,
          ...stick,
          'rename e/b d/a',
          as(0),
          'ls d',
          'ls e',
        ],
      },
    ]
  })
}

function targets(): Case[] {
  return [1, 2, 100, 255, 1023, 1024, 1025, 4000, 4095].map((length) => ({
    name: `symlink: a target of ${length} bytes`,
    calls: [
      `symlink ${'t'.repeat(length)} l => 0`,
      'readlink l',
      'lstat l type,size,mode',
      'stat l type',
      'unlink l => 0',
    ],
  }))
}

function links(): Case[] {
  return [
    ...leaves.map((type) => ({
      name: `link: a ${type}`,
      calls: [make(type, 'a'), 'link a b', 'lstat a nlink', 'lstat b type', 'unlink a', 'ls .'],
    })),
    { name: 'link: a directory', calls: ['mkdir d 0755 => 0', 'link d e => EPERM', 'ls .'] },
    { name: 'link: what is missing', calls: ['link a b => ENOENT'] },
    {
      name: 'link: over what is there',
      calls: [make('file', 'a'), make('file', 'b'), 'link a b => EEXIST'],
    },
    {
      name: 'link: below a file',
      calls: [make('file', 'a'), make('file', 'b'), 'link a b/c => ENOTDIR'],
    },
    {
      name: 'symlink: through to a file, a directory and a file to come',
      calls: [
        'mkdir d 0755 => 0',
        'symlink d l => 0',
        'open f l/a O_RDWR|O_CREAT 0644 => open',
        'write f hello => 5',
        'close f => 0',
        'ls d => a:file',
        'symlink d/a m => 0',
        'stat m type,size => file,5',
        'symlink d/b n => 0',
        'open g n O_RDWR|O_CREAT 0644 => open',
        'close g => 0',
        'ls d => a:file,b:file',
        'open h n O_RDWR|O_CREAT|O_EXCL 0644 => EEXIST',
        'open h n O_RDONLY|O_NOFOLLOW => ELOOP',
      ],
    },
  ]
}

function oddNames(): Case[] {
  const names: Readonly<Record<string, string>> = {
    space: 'a%20b',
    'percent sign': '%25',
    'percent code': '%2525',
    'question mark': 'a?b',
    hash: 'a#b',
    backslash: 'a%5Cb',
    quotes: `%22'`,
    'dot at the end': 'a.',
    'space at the end': 'a%20',
    dots: '...',
    umlaut: '%C3%A4',
    'umlaut in two': 'a%CC%88',
    emoji: '%F0%9F%90%A7',
    plus: 'a+b',
    ampersand: 'a&b<c>',
    star: 'a*',
    newline: 'a%0Ab',
    'escape character': 'a%1Bb',
    'delete character': 'a%7Fb',
    'bytes that are not UTF-8': 'a%FFb',
  }
  return Object.entries(names).map(([word, name]) => ({
    name: `open: a name with ${word}`,
    calls: [
      `open f ${name} O_RDWR|O_CREAT 0644`,
      'write f x',
      'close f',
      'ls .',
      `rename ${name} ${name}${name}`,
      'ls .',
      `mkdir ${name} 0755`,
      'ls .',
      `rmdir ${name}`,
    ],
  }))
}
