import type {
  Attributes,
  CallContext,
  FileOperations,
  InodeEntry,
  OpenedDirectory,
} from '../vfs/operations.ts'
import type { NamesChannel, SettledInode } from './channel.ts'
import { directoryReply } from './reply.ts'

/** The call that opens a directory. */
interface Opening {
  readonly operations: FileOperations
  readonly context: CallContext
  readonly names?: NamesChannel | undefined
  readonly whenUnheard: (undo: () => unknown) => void
}

/** A directory that holds few names is read as it is opened: the kernel asks for all of them next. */
export async function offerNames(opening: Opening, opened: OpenedDirectory): Promise<void> {
  const { operations, context, names, whenUnheard } = opening
  const { handle, nameCount = Number.POSITIVE_INFINITY } = opened
  if (names === undefined || nameCount > fewNames) return
  const entries = [...(await operations.readdir(handle, 0, context))]
  const settled: SettledInode[] = []
  const onLookup = ({ attributes }: InodeEntry): void => settle({ settled }, attributes)
  const options = { maxBytes: fewNamesBytes, plus: true, onLookup }
  const [message] = directoryReply(0n, entries, options)
  const end = entries.at(-1)?.nextOffset
  if (message === undefined || end === undefined) return
  names.offer(handle, { message, end, settled })
  whenUnheard(() => names.withdraw(handle))
}

/** More are asked for with less surprise than they cost when nobody asks. */
const fewNames = 16
/** Room for so many of the longest, and for `.` and `..`. */
const fewNamesBytes: number = (fewNames + 2) * (160 + 256)

/** Notes an inode of a reply, unless it changes without anybody being told. */
export function settle(
  { settled }: { readonly settled: SettledInode[] },
  { ino, xattrs }: Attributes,
): void {
  if (xattrs !== undefined) settled.push({ ino, plain: xattrs === 'none' })
}
