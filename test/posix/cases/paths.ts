import { as, type Case, leaves, long, make, product, user } from '../case.ts'

/** A system call that takes a path, and what it does where nothing is in its way. */
interface PathCall {
  readonly name: string
  readonly call: (path: string) => string
  /** Makes the name, which must not be there. */
  readonly makes?: true
  /** Removes the name. */
  readonly removes?: true
  /** Is about the symbolic link itself, not what it points to. */
  readonly nofollow?: true
  /** Wants a directory. */
  readonly directory?: true
}

const pathCalls: readonly PathCall[] = [
  { name: 'chmod', call: (path) => `chmod ${path} 0600` },
  { name: 'chown', call: (path) => `chown ${path} ${user} ${user}` },
  { name: 'lchown', call: (path) => `lchown ${path} ${user} ${user}`, nofollow: true },
  { name: 'truncate', call: (path) => `truncate ${path} 12` },
  { name: 'stat', call: (path) => `stat ${path} type,size` },
  { name: 'lstat', call: (path) => `lstat ${path} type,size`, nofollow: true },
  { name: 'open', call: (path) => `open f ${path} O_RDONLY` },
  {
    name: 'open O_CREAT',
    call: (path) => `open f ${path} O_RDWR|O_CREAT|O_EXCL 0644`,
    makes: true,
  },
  { name: 'utimensat', call: (path) => `utimensat ${path} 1 2 3 4` },
  { name: 'access', call: (path) => `access ${path} 4` },
  { name: 'mkdir', call: (path) => `mkdir ${path} 0755`, makes: true },
  { name: 'mkfifo', call: (path) => `mkfifo ${path} 0644`, makes: true },
  { name: 'mknod', call: (path) => `mknod ${path} f 0644 0 0`, makes: true },
  { name: 'mknod c', call: (path) => `mknod ${path} c 0644 1 2`, makes: true },
  { name: 'symlink', call: (path) => `symlink target ${path}`, makes: true },
  { name: 'rename to', call: (path) => `rename other ${path}`, makes: true },
  { name: 'rename from', call: (path) => `rename ${path} moved`, removes: true, nofollow: true },
  { name: 'unlink', call: (path) => `unlink ${path}`, removes: true, nofollow: true },
  {
    name: 'rmdir',
    call: (path) => `rmdir ${path}`,
    removes: true,
    nofollow: true,
    directory: true,
  },
  { name: 'readlink', call: (path) => `readlink ${path}`, nofollow: true },
  { name: 'getxattr', call: (path) => `getxattr ${path} user.a` },
]

/** What lies in the way of a path, whatever is done with it. */
export function pathCases(): readonly Case[] {
  return pathCalls.flatMap((each) => [
    ...notDirectories(each),
    ...missing(each),
    ...longNames(each),
    ...loops(each),
    ...unsearchable(each),
    ...unwritable(each),
  ])
}

const other = make('file', 'other')

function present(each: PathCall, path: string): string[] {
  if (each.makes) return []
  return [make(each.directory ? 'dir' : 'file', path)]
}

function notDirectories(each: PathCall): Case[] {
  return leaves.map((type) => ({
    name: `${each.name}: a ${type} is not a directory`,
    calls: [other, make(type, 'a'), `${each.call('a/b')} => ENOTDIR`],
  }))
}

function missing(each: PathCall): Case[] {
  const above = {
    name: `${each.name}: a directory on the way is missing`,
    calls: [other, `${each.call('missing/b')} => ENOENT`],
  }
  const dangling = {
    name: `${each.name}: a link on the way leads nowhere`,
    calls: [other, 'symlink nowhere l => 0', `${each.call('l/b')} => ENOENT`],
  }
  if (each.makes) return [above, dangling]
  const name = `${each.name}: the name is missing`
  return [above, dangling, { name, calls: [`${each.call('missing')} => ENOENT`] }]
}

function longNames(each: PathCall): Case[] {
  const deep = Array.from({ length: 3 }, () => long(250)).join('/')
  return [
    {
      name: `${each.name}: a name of 255 bytes`,
      calls: [other, ...present(each, long(255)), each.call(long(255)), `lstat ${long(255)} type`],
    },
    {
      name: `${each.name}: a name of 256 bytes`,
      calls: [other, `${each.call(long(256))} => ENAMETOOLONG`],
    },
    {
      name: `${each.name}: a directory of 256 bytes on the way`,
      calls: [other, `${each.call(`${long(256)}/b`)} => ENAMETOOLONG`],
    },
    {
      name: `${each.name}: a path of 4,096 bytes`,
      calls: [other, `${each.call(`${'./'.repeat(2048)}`)} => ENAMETOOLONG`],
    },
    {
      name: `${each.name}: a path of 980 bytes, three deep`,
      calls: [
        other,
        ...[1, 2, 3].map((depth) => `mkdir ${deep.slice(0, 251 * depth - 1)} 0755 => 0`),
        ...present(each, `${deep}/${long(200)}`),
        each.call(`${deep}/${long(200)}`),
        `lstat ${deep}/${long(200)} type`,
      ],
    },
  ]
}

function loops(each: PathCall): Case[] {
  const cases = [
    {
      name: `${each.name}: links on the way lead to each other`,
      calls: [other, 'symlink b a => 0', 'symlink a b => 0', `${each.call('a/c')} => ELOOP`],
    },
  ]
  if (each.nofollow || each.makes) return cases
  const name = `${each.name}: the name is a link to itself`
  return [...cases, { name, calls: ['symlink a a => 0', `${each.call('a')} => ELOOP`] }]
}

function unsearchable(each: PathCall): Case[] {
  const setUp = (mode: string): string[] => [
    other,
    `chown other ${user} ${user} => 0`,
    `mkdir d ${mode} => 0`,
    ...present(each, 'd/a'),
    ...(each.makes ? [] : [`lchown d/a ${user} ${user} => 0`]),
    `chown d ${user} ${user} => 0`,
  ]
  return [
    ['0600', 'without'],
    ['0700', 'with'],
  ].map(([mode = '', word]) => ({
    name: `${each.name}: ${word} search permission on the way`,
    calls: [
      ...setUp(mode),
      as(user),
      mode === '0600' ? `${each.call('d/a')} => EACCES` : each.call('d/a'),
      as(0),
      'ls d',
    ],
  }))
}

function unwritable(each: PathCall): Case[] {
  if (!each.makes && !each.removes) return []
  return product(['0555', '0755', '0775', '0777'], [[user], [user, 77]]).map(
    ([mode, groups], index) => ({
      name: `${each.name}: in a directory ${mode} of group 77, ${groups.length === 1 ? 'outside' : 'in'} it (${index})`,
      calls: [
        other,
        `chown other ${user} ${user} => 0`,
        'mkdir d 0777 => 0',
        ...present(each, 'd/a'),
        ...(each.makes ? [] : [`lchown d/a ${user} ${user} => 0`]),
        'chown d 0 77 => 0',
        `chmod d ${mode} => 0`,
        as(user, user, ...groups.slice(1)),
        each.call('d/a'),
        as(0),
        'ls d',
      ],
    }),
  )
}
