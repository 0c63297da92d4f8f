import { isFileSystemError } from '../errors.ts'
import { isBarred } from '../transfer/clear-staged-blocks.ts'

const maxAttempts = 3

/**
 * Runs `send`, and again from its beginning when another writer's commit took its blocks away: the source
 * is still there, and the last to commit wins. Under a condition it has lost instead, and may not repeat.
 * Blocks of others that were in the way are cleared when it begins again.
 */
export async function sendAgain<T>(
  send: () => Promise<T>,
  { mayRepeat }: { readonly mayRepeat: boolean },
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send()
    } catch (error) {
      const lostBlocks = isFileSystemError(error) && error.serviceCode === 'InvalidBlockList'
      const isPassing = lostBlocks || isBarred(error)
      if (!isPassing || !mayRepeat || attempt >= maxAttempts) throw error
    }
  }
}
