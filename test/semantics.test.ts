import { constants, readFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { MemoryHierarchicalStore } from '../src/blob/memory-hierarchical-blobs.ts'
import { MiB } from '../src/byte-range.ts'
import { type ErrnoCode, FileSystemError } from '../src/errors.ts'
import { Journals } from '../src/vfs/journals.ts'
import { type HandleId, rootIno } from '../src/vfs/operations.ts'
import type { Verb } from './support/counting-store.ts'
import { caller, newHierarchicalAccount, VfsMount } from './support/vfs-mount.ts'

// Runs the examples of docs/semantics.md: each block on an empty container of its own.

interface Line {
  readonly command: string
  readonly words: readonly string[]
  /** `undefined` when the call only has to succeed. */
  readonly expected: string | undefined
}

type Command = (
  mount: VfsMount,
  handles: Map<string, HandleId>,
  words: readonly string[],
) => unknown

const openFlags: Record<string, number> = {
  read: constants.O_RDONLY,
  readwrite: constants.O_RDWR,
  append: constants.O_WRONLY | constants.O_APPEND,
  truncate: constants.O_WRONLY | constants.O_TRUNC,
}

const described = {
  metadata: { colour: 'red' },
  headers: { cacheControl: 'no-store' },
  contentType: 'text/plain',
  tier: 'Cool',
}

const commands: Record<string, Command> = {
  mkdir: (mount, _, [path = '']) => done(mount.mkdir(path)),
  rmdir: async (mount, _, [path = '']) => {
    const [parent, name] = await mount.split(path)
    await mount.vfs.rmdir(parent, name, caller)
  },
  unlink: (mount, _, [path = '']) => mount.unlink(path),
  rename: (mount, _, [from = '', to = '']) => mount.rename(from, to),
  ls: async (mount, _, [path = '']) => (await mount.list(path === '/' ? '' : path)).join(' '),
  save: (mount, _, [path = '', data = '']) => mount.save(path, data),
  read: (mount, _, [path = '']) => mount.load(path),
  create: async (mount, handles, [handle = '', path = '']) =>
    done(Promise.resolve(handles.set(handle, await mount.create(path)))),
  open: async (mount, handles, [handle = '', path = '', how = '']) =>
    done(Promise.resolve(handles.set(handle, await mount.open(path, openFlags[how])))),
  write: (mount, handles, [handle = '', offset, data = '']) =>
    done(mount.write(get(handles, handle), Number(offset), data)),
  readhandle: async (mount, handles, [handle = '']) =>
    (await mount.read(get(handles, handle))).toString(),
  flush: (mount, handles, [handle = '']) => mount.vfs.flush(get(handles, handle), caller),
  close: (mount, handles, [handle = '']) => mount.close(get(handles, handle)),
  truncate: (mount, _, [path = '', size]) => setattr(mount, path, { sizeBytes: Number(size) }),
  chmod: (mount, _, [path = '', mode = '']) =>
    setattr(mount, path, { mode: Number.parseInt(mode, 8) }),
  chown: (mount, _, [path = '', uid, gid]) =>
    setattr(mount, path, { uid: Number(uid), gid: Number(gid) }),
  utimens: (mount, _, [path = '', ns = '0']) => setattr(mount, path, { mtimeNs: BigInt(ns) }),
  setxattr: async (mount, _, [path = '', name = '', value = '']) =>
    done(
      mount.vfs.setxattr(
        await mount.ino(path),
        name,
        { value: Buffer.from(value), create: false, replace: false },
        caller,
      ),
    ),
  symlink: (mount, _, [path = '', target = '']) =>
    done(mount.vfs.symlink(rootIno, path, target, caller)),
  readlink: async (mount, _, [path = '']) => mount.vfs.readlink(await mount.ino(path), caller),
  stat: async (mount, _, [path = '', field = '']) => {
    const { sizeBytes, mode, uid, gid, mtimeNs } = await mount.stat(path)
    return { size: sizeBytes, mode: mode.toString(8), uid, gid, mtime: mtimeNs }[field]
  },
  metadata: async (mount, _, [name = '', key = '']) =>
    (await mount.account.head({ container: 'box', name })).metadata?.[key],
  blob: async (mount, _, [name = '']) => (await mount.stored(name)) ?? 'absent',
  permissions: async ({ account }, _, [name = '']) => {
    if (!(account instanceof MemoryHierarchicalStore)) throw new TypeError('a flat account')
    return (await account.hierarchy.getAccessControl({ container: 'box', name })).permissions
  },
  large: (mount, _, [name = '', mebibytes]) =>
    done(mount.account.put({ container: 'box', name }, Buffer.alloc(Number(mebibytes) * MiB))),
  described: (mount, _, [name = '', data = '']) =>
    done(mount.account.put({ container: 'box', name }, Buffer.from(data), described)),
  description: async (mount, _, [name = '']) => {
    const found = await mount.account.head({ container: 'box', name })
    const { metadata = {}, headers, contentType, accessTier } = found
    return `colour=${metadata['colour']} ${headers?.cacheControl} ${contentType} ${accessTier}`
  },
  size: async (mount, _, [name = '']) =>
    (await mount.account.head({ container: 'box', name })).sizeBytes,
  /** Bytes of content that went out since this was last asked. */
  sent: ({ counting }) => {
    const bytes = counting.requests.reduce((sum, { sentBytes = 0 }) => sum + sentBytes, 0)
    counting.take()
    return bytes
  },
  /** The content of the only blob whose name begins so. */
  matching: async (mount, _, [prefix = '']) =>
    mount.stored((await mount.list('')).find((name) => name.startsWith(prefix)) ?? ''),
  failing: (mount, _, [verb = '', code]) =>
    mount.before(verb as Verb, () => {
      if (code !== undefined) throw new FileSystemError(code as ErrnoCode, verb)
    }),
  elsewhere: (mount, _, [name = '', data = '']) => mount.storeElsewhere(name, data),
  wait: (mount, _, [ms]) => mount.clock.advance(Number(ms)),
  requests: (mount) => mount.requests().join(' '),
}

for (const [index, block] of examples().entries()) {
  t.test(`example ${index + 1} of docs/semantics.md: ${block.heading}`, async (t) => {
    const account = block.hierarchical ? await newHierarchicalAccount() : undefined
    let mount = await VfsMount.make(t, account === undefined ? {} : { account })
    const handles = new Map<string, HandleId>()

    for (const text of block.lines) {
      const line = parse(text)
      if (line.command === 'mount' || line.command === 'crash') {
        mount = await mountAgain(t, mount, line)
        continue
      }
      const result = await run(mount, handles, line)
      t.equal(result, line.expected ?? result, text)
      if (line.expected === undefined) t.notMatch(result, /^E[A-Z]+$/, text)
    }
  })
}

t.test('the page has examples', async (t) => {
  t.ok(examples().length >= 12)
})

/** The account on another mount, after the end of this one or without. */
async function mountAgain(t: Test, before: VfsMount, { command, words }: Line): Promise<VfsMount> {
  const { account, clock } = before
  if (command === 'mount') {
    await before.vfs.close()
    const [key = '', value] = (words[0] ?? '').split('=')
    const options = key === 'write-back' ? { writeBack: true } : { onConflict: value as 'ours' }
    const directory = t.testdir()
    const journals = new Journals({ directory, clock, owner: 'first', isAlive: () => false })
    return VfsMount.make(t, { account, journals, ...options })
  }
  const journals = new Journals({
    directory: t.testdirName,
    clock,
    owner: 'second',
    isAlive: () => false,
  })
  const after = await VfsMount.make(t, { account, journals })
  await after.vfs.replay()
  return after
}

async function run(mount: VfsMount, handles: Map<string, HandleId>, line: Line): Promise<string> {
  const command = commands[line.command]
  if (command === undefined) throw new TypeError(`unknown command in an example: ${line.command}`)
  try {
    return String((await command(mount, handles, line.words)) ?? '')
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === undefined) throw error
    return code
  }
}

interface Example {
  readonly heading: string
  readonly lines: string[]
  /** Whether the container is one of a hierarchical account. */
  readonly hierarchical: boolean
}

function examples(): Example[] {
  const text = readFileSync(new URL('../docs/semantics.md', import.meta.url), 'utf8')
  const blocks: Example[] = []
  let heading = ''
  let current: string[] | undefined
  for (const line of text.split('\n')) {
    if (line.startsWith('## ')) heading = line.slice(3)
    if (line === '```drive' || line === '```drive hierarchical') {
      current = []
      blocks.push({ heading, lines: current, hierarchical: line !== '```drive' })
    } else if (line === '```') current = undefined
    else if (line !== '') current?.push(line)
  }
  return blocks
}

function parse(text: string): Line {
  const [call = '', expected] = text.split(' => ')
  const [command = '', ...words] = (call.match(/"[^"]*"|\S+/g) ?? []).map(unquote)
  return { command, words, expected: expected === undefined ? undefined : unquote(expected) }
}

function unquote(word: string): string {
  return word.startsWith('"') ? word.slice(1, -1) : word
}

async function setattr(
  mount: VfsMount,
  path: string,
  changes: Parameters<VfsMount['vfs']['setattr']>[1],
): Promise<void> {
  await mount.vfs.setattr(await mount.ino(path), changes, caller)
}

async function done(work: Promise<unknown>): Promise<void> {
  await work
}

function get(handles: Map<string, HandleId>, name: string): HandleId {
  const handle = handles.get(name)
  if (handle === undefined) throw new TypeError(`no open file is called ${name}`)
  return handle
}
