import { demandSameType, type TypeDemand } from '../namespace/blob-type.ts'
import type { Entry } from '../namespace/entry.ts'
import type { Namespace } from '../namespace/namespace.ts'
import type { BlobPath } from '../path.ts'
import { publishFault } from './fault.ts'

/**
 * `EPERM`, as of a file that chattr(1) has made append-only or immutable, where a blob of another type would have to
 * take the place of `there`. The log tells why, and what to do: an errno does not.
 */
export async function refuseOtherType(
  namespace: Namespace,
  path: BlobPath,
  there: Entry,
  options: Omit<TypeDemand, 'code'>,
): Promise<void> {
  try {
    await demandSameType(namespace, path, there, { ...options, code: 'EPERM' })
  } catch (error) {
    publishFault(options.syscall, path, error)
    throw error
  }
}
