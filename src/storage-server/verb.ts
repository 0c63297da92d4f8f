import type { Caller, Need } from './access/access.ts'
import type { StorageAccount } from './model/account.ts'
import type { Container } from './model/container.ts'
import type { StorageAnswer } from './wire/answer.ts'
import type { StorageRequest } from './wire/request.ts'

/** One operation of Azure's REST interface, as the router finds it. */
export interface Verb {
  /** Azure's name for it, for the ledger and faults: `PutBlob`, `Path - Create`, `ListBlobs`. */
  readonly name: string
  /** Whether this verb answers the request; the first of the table that says yes does. */
  readonly matches: (request: StorageRequest) => boolean
  /** What the caller must be allowed; read before the body is. */
  readonly needs: (request: StorageRequest, account: StorageAccount) => readonly Need[]
  readonly run: (context: VerbContext) => Promise<StorageAnswer> | StorageAnswer
}

/** What a verb works with. */
export interface VerbContext {
  readonly request: StorageRequest
  readonly account: StorageAccount
  readonly caller: Caller
  /** Checks rights that depend on the body or on what is found. */
  readonly authorize: (needs: readonly Need[]) => void
  /** Runs another request against the same server, as Copy From URL and batch do. */
  readonly dispatch: (request: StorageRequest) => Promise<StorageAnswer>
  /** The container of the request: 404 `ContainerNotFound` when absent. */
  container(): Container
}
