import { amendCurrent, type Place } from '../model/changes.ts'
import type { DirectoryRecord, Ownership } from '../model/record.ts'
import { ownershipOf, ownershipOfChild, parentOf } from './ownership.ts'
import { existing } from './refusals.ts'
import { lookUp, stamp } from './target.ts'

/** A directory as it is when made. */
export function newDirectory(place: Place, ownership: Ownership | undefined): DirectoryRecord {
  return {
    kind: 'directory',
    ...stamp(place),
    createdMs: place.account.nowMs(),
    metadata: {},
    ownership,
  }
}

/**
 * Makes the directories above a path of a hierarchical account that are missing, each with what its
 * parent lets it inherit. Throws 409 `PathConflict` when one of them is a file. Flat accounts have
 * no directories: nothing happens.
 */
export function makeParents(place: Place, path: string, maker: string): void {
  const parent = parentOf(path)
  if (parent === '' || !place.account.settings.hierarchical) {
    return
  }
  const { record } = lookUp(place, parent)
  if (record?.kind === 'directory') {
    return
  }
  if (record) {
    throw existing('PathConflict', record.kind)
  }
  makeParents(place, parent, maker)
  const ownership = ownershipOfChild(ownershipOf(place.container, parentOf(parent)), {
    kind: 'directory',
    maker,
  })
  amendCurrent(place, parent, newDirectory(place, ownership))
}

/** Whether a directory holds anything that shows. */
export function hasChildren(place: Place, directory: string): boolean {
  for (const state of place.container.paths.below(directory)) {
    if (lookUp(place, state.name).record) {
      return true
    }
  }
  return false
}
