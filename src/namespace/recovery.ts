import type { Namespace, RecoveredRename } from './namespace.ts'
import {
  type RecoveredTransaction,
  type RecoverTransactionsOptions,
  recoverTransactions,
} from './transaction-recovery.ts'

/** What became of something that a client was in the middle of when it died. */
export type Recovered = RecoveredRename | RecoveredTransaction

/** Finishes the renames and transactions in `container` that nobody works on. `ENOENT` without a container. */
export async function recoverAll(
  namespace: Namespace,
  container: string,
  options: RecoverTransactionsOptions,
): Promise<readonly Recovered[]> {
  const renames = await namespace.recoverRenames(container, options)
  return [...renames, ...(await recoverTransactions(namespace, container, options))]
}
