import { as, type Case, type FileType, make, product, stranger, types, user } from '../case.ts'

/** Modes, owners and who may change them. */
export function attributeCases(): readonly Case[] {
  return [
    ...modes(),
    ...creationModes(),
    ...inheritance(),
    ...whoMayChmod(),
    ...setGroupIds(),
    ...owners(),
    ...whoMayChown(),
    ...clearedBits(),
    ...access(),
  ]
}

const places = types.filter((type) => type !== 'link')

function modes(): Case[] {
  const all = ['0', '0111', '0600', '0644', '0755', '0777', '01777', '02755', '04755', '07777']
  return product(places, all).map(([type, mode]) => ({
    name: `chmod: a ${type} to ${mode}`,
    calls: [
      make(type, 'a'),
      `chmod a ${mode} => 0`,
      `stat a type,mode => ${type},${mode.replace(/^0/, '').padStart(4, '0')}`,
      'symlink a l => 0',
      `chmod l 0640 => 0`,
      'lstat a mode => 0640',
    ],
  }))
}

const makers: Readonly<Record<string, (mode: string) => string>> = {
  mkdir: (mode) => `mkdir a ${mode}`,
  mkfifo: (mode) => `mkfifo a ${mode}`,
  mknod: (mode) => `mknod a f ${mode} 0 0`,
  open: (mode) => `open f a O_RDWR|O_CREAT ${mode}`,
}

function creationModes(): Case[] {
  const asked = ['0', '0151', '0644', '0755', '0777', '01777', '02777', '04755']
  return product(Object.keys(makers), product(asked, ['0', '022', '077', '0777'])).map(
    ([maker, [mode, umask]]) => ({
      name: `${maker}: mode ${mode} under umask ${umask}`,
      calls: [
        `umask ${umask}`,
        as(user, stranger),
        `${makers[maker]?.(mode)}`,
        'lstat a mode,uid,gid',
        as(0),
        'lstat a mode,uid,gid',
      ],
    }),
  )
}

function inheritance(): Case[] {
  return product(Object.keys(makers), ['0777', '02777']).map(([maker, mode]) => ({
    name: `${maker}: in a directory ${mode} of another group`,
    calls: [
      'mkdir d 0777 => 0',
      'chown d 0 77 => 0',
      `chmod d ${mode} => 0`,
      'chdir d => 0',
      as(user, user),
      `${makers[maker]?.('0755')}`,
      'lstat a mode,uid,gid',
      `symlink t l`,
      'lstat l uid,gid',
    ],
  }))
}

function whoMayChmod(): Case[] {
  return product(types, product([0, user, stranger], [0, user, stranger])).map(
    ([type, [owner, caller]]) => ({
      name: `chmod: a ${type} of ${owner} by ${caller}`,
      calls: [
        make('file', 'target'),
        `chown target ${owner} ${owner} => 0`,
        make(type, 'a'),
        `lchown a ${owner} ${owner} => 0`,
        as(caller),
        `chmod a 0604 => ${caller === 0 || caller === owner ? '0' : 'EPERM'}`,
        'stat a mode',
      ],
    }),
  )
}

function setGroupIds(): Case[] {
  const groups = [[], [77], [78]]
  return product(
    ['file', 'dir', 'fifo'] as const,
    product(groups, ['02755', '01777', '06711']),
  ).map(([type, [some, mode]], index) => ({
    name: `chmod: a ${type} of group 77 to ${mode} by its owner in group ${some.join() || 'none'} (${index})`,
    calls: [
      make(type, 'a'),
      `chown a ${user} 77 => 0`,
      as(user, user, ...some),
      `chmod a ${mode} => 0`,
      'stat a mode',
    ],
  }))
}

function owners(): Case[] {
  const pairs = [
    [user, user],
    [user, -1],
    [-1, user],
    [-1, -1],
    [0, 0],
    [4294967294, 4294967293],
    [123456, 7],
  ]
  return product(types, pairs).map(([type, [uid, gid]]) => ({
    name: `chown: a ${type} to ${uid}:${gid} by root`,
    calls: [
      make(type, 'a'),
      `lchown a 5 6 => 0`,
      `lchown a ${uid} ${gid} => 0`,
      'lstat a uid,gid,mode',
      'ls .',
      'lstat a uid,gid,mode',
    ],
  }))
}

function whoMayChown(): Case[] {
  const wishes = [
    [user, user],
    [user, 77],
    [-1, 77],
    [-1, 78],
    [user, -1],
    [stranger, -1],
    [stranger, 77],
    [-1, -1],
  ]
  return product(['file', 'dir', 'link'] as const, product([user, stranger], wishes)).map(
    ([type, [caller, [uid, gid]]]) => ({
      name: `chown: a ${type} of ${user} to ${uid}:${gid} by ${caller} in group 77`,
      calls: [
        make(type, 'a'),
        `lchown a ${user} ${user} => 0`,
        as(caller, caller, 77),
        `lchown a ${uid} ${gid}`,
        'lstat a uid,gid',
      ],
    }),
  )
}

/** What takes set-user-id and set-group-id bits away. */
function clearedBits(): Case[] {
  const changes: Readonly<Record<string, readonly string[]>> = {
    'chown to the same': [`chown a ${user} ${user} => 0`],
    'chown to nobody in particular': ['chown a -1 -1 => 0'],
    'a write': ['open f a O_WRONLY => open', 'write f x => 1'],
    'a truncation': ['truncate a 3 => 0'],
    ftruncate: ['open f a O_RDWR => open', 'ftruncate f 3 => 0'],
    O_TRUNC: ['open f a O_WRONLY|O_TRUNC => open'],
    fallocate: ['open f a O_RDWR => open', 'fallocate f 0 0 10'],
    'a shared mapping': ['open f a O_RDWR => open', 'ftruncate f 10', 'mapped f 0 hello'],
  }
  const bits = ['06755', '06744', '02745', '04711', '02711']
  return product(Object.entries(changes), product(bits, [0, user])).map(
    ([[name, calls], [mode, caller]]) => ({
      name: `chmod: what of ${mode} is left after ${name} by ${caller}`,
      calls: [
        make('file', 'a'),
        `chown a ${user} ${user} => 0`,
        `chmod a ${mode} => 0`,
        as(caller),
        ...calls,
        'stat a mode',
        as(0),
        'ls .',
        'stat a mode',
      ],
    }),
  )
}

function access(): Case[] {
  const who: readonly (readonly [string, number, number])[] = [
    ['owner', user, user],
    ['group', 0, user],
    ['others', 0, 0],
  ]
  const kinds: readonly FileType[] = ['file', 'dir']
  return product(kinds, product(who, [0, 1, 2, 3, 4, 5, 6, 7])).map(
    ([type, [[name, uid, gid], bits]]) => ({
      name: `access: a ${type} that ${name} may use as ${bits}`,
      calls: [
        make(type, 'a', '0'),
        `chown a ${uid} ${gid} => 0`,
        `chmod a 0${(bits << (name === 'owner' ? 6 : name === 'group' ? 3 : 0)).toString(8)} => 0`,
        as(user),
        `access a 4 => ${bits & 4 ? '0' : 'EACCES'}`,
        `access a 2 => ${bits & 2 ? '0' : 'EACCES'}`,
        `access a 1 => ${bits & 1 ? '0' : 'EACCES'}`,
        'open f a O_RDONLY',
        'open g a O_WRONLY',
        'open h a O_RDWR',
        'open i a O_WRONLY|O_TRUNC',
        'truncate a 0',
        'chdir a',
      ],
    }),
  )
}
