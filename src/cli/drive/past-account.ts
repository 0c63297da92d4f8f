import type { Moment } from '../../blob/past-names.ts'
import { PastBlobStore } from '../../blob/past-store.ts'
import { Namespace } from '../../namespace/namespace.ts'
import type { BlobPath } from '../../path.ts'
import type { Account } from '../compose.ts'

/** The account as its container was at a moment, below `root`; closing it closes nothing. */
export function accountInThePast(account: Account, root: BlobPath, moment: Moment): Account {
  const store = new PastBlobStore({ store: account.store, moment, root })
  const { clock } = account
  // What was does not change: nothing is asked twice.
  const namespace = new Namespace({ store, clock, listingTtlMs: Number.MAX_SAFE_INTEGER })
  return { ...account, store, namespace, isPast: true, close: async () => undefined }
}
