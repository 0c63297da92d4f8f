/** What an earlier process has left of a mount, and how tables take it over. */
import { z } from 'zod'
import { FileSystemError } from '../errors.ts'
import type { Entry, EntryType } from '../namespace/entry.ts'
import { DirectoryHandle } from './directory-handle.ts'
import type { HandleTable } from './handle-table.ts'
import { readHandover } from './handover-file.ts'
import { Inode } from './inode-table.ts'
import { rootIno, toHandleId, toIno } from './operations.ts'
import type { Tree } from './tree.ts'

/** Another where a line says what former versions of this program would take for something else. */
export const handoverFormat = 1

/** One thing that is so from here on, whatever lines before it say. */
export type HandoverLine =
  | {
      readonly kind: 'begin'
      readonly format: number
      /** The INIT of the connection, in base64. */
      readonly init: string
      readonly lastIno: number
      readonly lastHandle: number
    }
  | {
      readonly kind: 'inode'
      readonly ino: number
      readonly type: EntryType
      /** Absent once the name is gone. */
      readonly parent?: number | undefined
      /** In its parent, or in the root of the mount where that is absent. */
      readonly name: string
      readonly lookups: number
      /** Of a file: the version that the kernel was told of. */
      readonly etag?: string | undefined
      /** Where the service does not tell it any more. */
      readonly entry?: Entry | undefined
    }
  | { readonly kind: 'gone'; readonly ino: number }
  | {
      readonly kind: 'file'
      readonly handle: number
      readonly ino: number
      /** What is read; absent for those who only write. */
      readonly entry?: Entry | undefined
    }
  | {
      readonly kind: 'directory'
      readonly handle: number
      readonly ino: number
      readonly names: readonly string[]
    }
  | { readonly kind: 'closed'; readonly handle: number }

const entryType: z.ZodType<EntryType> = z.enum([
  ...(['file', 'directory', 'symlink', 'fifo', 'socket'] as const),
  ...(['block-device', 'character-device'] as const),
])

const entry: z.ZodType<Entry> = z.custom<Entry>((value) => {
  const shape = z.looseObject({ name: z.string(), sizeBytes: z.number(), posix: z.looseObject({}) })
  return shape.safeParse(value).success
})

const handoverLine: z.ZodType<HandoverLine> = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('begin'),
    format: z.literal(handoverFormat),
    init: z.string(),
    lastIno: z.number(),
    lastHandle: z.number(),
  }),
  z.object({
    kind: z.literal('inode'),
    ino: z.number(),
    type: entryType,
    parent: z.number().optional(),
    name: z.string(),
    lookups: z.number(),
    etag: z.string().optional(),
    entry: entry.optional(),
  }),
  z.object({ kind: z.literal('gone'), ino: z.number() }),
  z.object({
    kind: z.literal('file'),
    handle: z.number(),
    ino: z.number(),
    entry: entry.optional(),
  }),
  z.object({
    kind: z.literal('directory'),
    handle: z.number(),
    ino: z.number(),
    names: z.array(z.string()),
  }),
  z.object({ kind: z.literal('closed'), handle: z.number() }),
])

export type LineOf<Kind extends HandoverLine['kind']> = Extract<
  HandoverLine,
  { readonly kind: Kind }
>

/** What an earlier process has left. */
export interface HandedOver {
  /** With what the conversation with the kernel began. */
  readonly init: Uint8Array
  readonly lastIno: number
  readonly lastHandle: number
  readonly inodes: ReadonlyMap<number, LineOf<'inode'>>
  readonly handles: ReadonlyMap<number, LineOf<'file' | 'directory'>>
}

/** As the file has it: big integers stand as text. */
export function formatLine(line: HandoverLine): string {
  return JSON.stringify(line, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  )
}

/** Reads what `path` has. Rejects with EIO what another version of this program has written. */
export function readHandedOver(path: string): HandedOver {
  const [first, ...rest] = readHandover(path).map((text) => parseLine(path, text))
  if (first?.kind !== 'begin') throw unreadable(path)
  const inodes = new Map<number, LineOf<'inode'>>()
  const handles = new Map<number, LineOf<'file' | 'directory'>>()
  let { lastIno, lastHandle } = first
  for (const line of rest) {
    if (line.kind === 'inode') inodes.set(line.ino, line)
    if (line.kind === 'gone') inodes.delete(line.ino)
    if (line.kind === 'file' || line.kind === 'directory') handles.set(line.handle, line)
    if (line.kind === 'closed') handles.delete(line.handle)
    if ('ino' in line) lastIno = Math.max(lastIno, line.ino)
    if ('handle' in line) lastHandle = Math.max(lastHandle, line.handle)
  }
  return { init: Buffer.from(first.init, 'base64'), lastIno, lastHandle, inodes, handles }
}

function parseLine(path: string, text: string): HandoverLine {
  try {
    return handoverLine.parse(JSON.parse(text, reviveTimes))
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

function reviveTimes(key: string, value: unknown): unknown {
  return key === 'mtimeNs' && typeof value === 'string' ? BigInt(value) : value
}

function unreadable(path: string, cause?: unknown): FileSystemError {
  const detail = 'what the daemon before this one has left is of another version of abfs'
  return new FileSystemError('EIO', 'failover', { path, detail, cause })
}

/** Where what was left goes. */
export interface Heir {
  readonly tree: Tree
  readonly handles: HandleTable
  /** Opens a file that was open. */
  readonly adoptFile: (line: LineOf<'file'>, inode: Inode) => void
}

/** Has the tables of `heir`, which are empty, know what was left. */
export function adopt(left: HandedOver, heir: Heir): void {
  adoptInodes(left, heir.tree)
  heir.tree.table.startAfter(left.lastIno)
  for (const line of left.handles.values()) {
    const inode = heir.tree.table.find(toIno(line.ino))
    if (inode === undefined) continue
    if (line.kind === 'file') heir.adoptFile(line, inode)
    else {
      const directory = DirectoryHandle.adopted(heir.tree, inode, line.names)
      heir.handles.adopt(toHandleId(line.handle), directory)
    }
  }
  heir.handles.startAfter(left.lastHandle)
  // Nobody uses what only the earlier process knew.
  for (const inode of [...heir.tree.table.all()]) heir.tree.table.prune(inode)
}

function adoptInodes({ inodes }: HandedOver, { table }: Tree): void {
  const made = new Map<number, Inode>([[rootIno, table.root]])
  for (const { ino, type, name } of inodes.values()) {
    if (ino === rootIno) continue
    made.set(ino, new Inode(toIno(ino), type, { parent: undefined, name }))
  }
  for (const line of inodes.values()) {
    const inode = made.get(line.ino)
    if (inode === undefined) continue
    inode.lookups = line.lookups
    inode.entry = line.entry
    inode.toldEtag = line.etag
    if (inode === table.root) continue
    inode.parent = made.get(line.parent ?? rootIno)
    inode.unlinked = line.parent === undefined || inode.parent === undefined
    table.adopt(inode)
  }
}
