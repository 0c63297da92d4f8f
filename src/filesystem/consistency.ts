import type { CallOptions } from '../blob/store.ts'
import { isFileSystemError } from '../errors.ts'
import { demandWord } from './demand-word.ts'

/**
 * What a read of a whole file or range does when the version that it reads is replaced before it is done: `pinned`
 * rejects with `ESTALE`; `restart` gives up what it has and begins anew with the version that is there, at most
 * five times in all. What it gives is of one version either way.
 */
export type WholeConsistency = 'pinned' | 'restart'

/** The same for an open file, where `latest` reads with each call the version that is there at that moment. */
export type Consistency = WholeConsistency | 'latest'

/** A writer that is faster than its reader is met again and again. */
const maxAttempts = 5

/** `TypeError` for another word; `undefined` is `pinned`. */
export function wholeConsistency(word: WholeConsistency | undefined): WholeConsistency {
  if (word !== undefined) demandWord('consistency', word, ['pinned', 'restart'])
  return word ?? 'pinned'
}

/** `TypeError` for another word; `undefined` is `pinned`. */
export function consistencyOf(word: Consistency | undefined): Consistency {
  if (word !== undefined) demandWord('consistency', word, ['pinned', 'latest', 'restart'])
  return word ?? 'pinned'
}

/**
 * Runs `attempt` again after `undo` while it ends in `ESTALE`, at most five times in all; `undo` says whether what
 * was done could be taken back.
 */
export async function restarting<T>(
  attempt: () => Promise<T>,
  options: CallOptions & { readonly undo?: (() => Promise<boolean> | boolean) | undefined },
): Promise<T> {
  const { signal, undo = () => true } = options
  for (let tried = 1; ; tried++) {
    try {
      return await attempt()
    } catch (error) {
      if (tried === maxAttempts || !isFileSystemError(error, 'ESTALE')) throw error
      signal?.throwIfAborted()
      if (!(await undo())) throw error
    }
  }
}
