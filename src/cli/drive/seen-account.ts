/** What a drive sees of its account. */
import type { Moment } from '../../blob/past-names.ts'
import { TaggedStore } from '../../blob/tagged-store.ts'
import { FileSystemError } from '../../errors.ts'
import { Namespace } from '../../namespace/namespace.ts'
import { type BlobPath, formatPath } from '../../path.ts'
import type { Account } from '../compose.ts'
import type { AccessKind } from '../request-scope.ts'
import type { DriveSettings } from './drive-options.ts'
import { accountInThePast } from './past-account.ts'
import { type Hiding, hidesByTags } from './shown.ts'

export interface SeenBy {
  readonly root: BlobPath
  readonly moment: Moment | undefined
  readonly hiding: Hiding | undefined
  /** How long listings are believed; milliseconds. Absent: as long as anywhere. */
  readonly listingTtlMs?: number | undefined
}

/** What a drive's credentials must grant: names, of which the service tells no tags otherwise, included. */
export function accessOf({
  readOnly,
  hiding,
}: Pick<DriveSettings, 'readOnly' | 'hiding'>): AccessKind {
  if (hiding !== undefined && hidesByTags(hiding)) return 'readTags'
  return readOnly ? 'read' : 'write'
}

/** The account as it was, or with the tags of its files, where a drive is of that; closing it closes nothing then. */
export function accountSeenBy(account: Account, seen: SeenBy): Account {
  const { root, moment, hiding } = seen
  if (moment !== undefined) return accountInThePast(account, root, moment)
  return hiding !== undefined && hidesByTags(hiding) ? withTags(account, seen) : account
}

/** Of a hierarchical account whatever is asked is `ENOTSUP`: none of its files can have tags. */
function withTags(account: Account, { root, listingTtlMs }: SeenBy): Account {
  const { administration, clock } = account
  const store = new TaggedStore(account.store, {
    tagsOf: (...call) => administration.getTags(...call),
    refuse: async (options) => {
      if (!(await account.namespace.isHierarchical(root.container, options))) return
      throw new FileSystemError('ENOTSUP', 'mount', {
        path: formatPath({ ...root, name: '' }),
        detail: 'files of a hierarchical account have no index tags: leave tag out of --filter',
      })
    },
  })
  const namespace = new Namespace({ store, clock, listingTtlMs, scanTrees: true })
  return { ...account, store, namespace, close: async () => undefined }
}
