/**
 * What a process has told the kernel, kept for the one that takes its mount over, however this one ends: which number
 * stands for which path, what is open, and how the conversation began. The tables say what changes; what changed is
 * appended, as it is by then, before the next reply is sent: the kernel never knows more than the file.
 */

import { formatLine, type HandoverLine, handoverFormat } from './handed-over.ts'
import type { Handle, HandleTable } from './handle-table.ts'
import { HandoverFile } from './handover-file.ts'
import type { Inode } from './inode-table.ts'
import type { HandleId } from './operations.ts'
import type { Tree } from './tree.ts'

/** Keeps a file of what two tables hold. */
export class Handover {
  readonly #tree: Tree
  readonly #handles: HandleTable
  readonly #file: HandoverFile
  readonly #changedInodes = new Set<Inode>()
  readonly #changedHandles = new Set<HandleId>()
  #init: string | undefined

  constructor(tree: Tree, handles: HandleTable, path: string) {
    this.#tree = tree
    this.#handles = handles
    this.#file = new HandoverFile(path)
    tree.table.onChanged = (inode) => this.#changedInodes.add(inode)
    handles.onChanged = (id) => this.#changedHandles.add(id)
  }

  /** The conversation with the kernel began with `init`: from here on the file is kept. */
  begin(init: Uint8Array): void {
    this.#init = Buffer.from(init).toString('base64')
    this.#replace()
  }

  /** What `inode` is read as by those who have it open is another version. */
  pinned(inode: Inode): void {
    for (const [id, handle] of this.#handles.entries()) {
      if (handle.inode === inode) this.#changedHandles.add(id)
    }
  }

  /** Appends what changed since the last time. */
  flush(): void {
    if (this.#init === undefined) return
    if (this.#changedInodes.size === 0 && this.#changedHandles.size === 0) return
    if (this.#file.isLong) this.#replace()
    else this.#file.append([...this.#changes()].map(formatLine))
    this.#changedInodes.clear()
    this.#changedHandles.clear()
  }

  close(): void {
    this.#file.close()
  }

  #replace(): void {
    this.#file.replace([...this.#all()].map(formatLine))
  }

  *#changes(): Generator<HandoverLine> {
    for (const inode of this.#changedInodes) yield this.#inodeLine(inode)
    for (const id of this.#changedHandles) yield this.#handleLine(id, this.#handles.find(id))
  }

  *#all(): Generator<HandoverLine> {
    const { table } = this.#tree
    const [lastIno, lastHandle] = [table.lastIno, this.#handles.last]
    yield { kind: 'begin', format: handoverFormat, init: this.#init ?? '', lastIno, lastHandle }
    for (const inode of table.all()) yield this.#inodeLine(inode)
    for (const [id, handle] of this.#handles.entries()) yield this.#handleLine(id, handle)
  }

  #inodeLine(inode: Inode): HandoverLine {
    const { ino, type, parent, name, lookups, unlinked, entry } = inode
    if (this.#tree.table.find(ino) !== inode) return { kind: 'gone', ino }
    const etag = type === 'directory' ? undefined : (entry?.etag ?? inode.toldEtag)
    if (!unlinked) return { kind: 'inode', ino, type, parent: parent?.ino, name, lookups, etag }
    // Its parent may be gone too.
    const below = this.#tree.pathOf(this.#tree.table.root).name
    const path = this.#tree.pathOf(inode).name
    const place = below === '' ? path : path.slice(below.length + 1)
    return { kind: 'inode', ino, type, name: place, lookups, entry }
  }

  #handleLine(handle: HandleId, found: Handle | undefined): HandoverLine {
    if (found === undefined) return { kind: 'closed', handle }
    const { ino } = found.inode
    if (found.kind === 'directory')
      return { kind: 'directory', handle, ino, names: [...found.names] }
    return { kind: 'file', handle, ino, entry: found.reader?.entry }
  }
}
