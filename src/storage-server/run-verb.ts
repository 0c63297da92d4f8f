import type { AccessControl } from './access/access.ts'
import { feedContainer } from './feed/change-feed.ts'
import type { StorageAccount } from './model/account.ts'
import type { Container } from './model/container.ts'
import type { Verb, VerbContext } from './verb.ts'
import { findVerb } from './verbs.ts'
import type { StorageAnswer } from './wire/answer.ts'
import { invalidQuery, refusal } from './wire/refusals.ts'
import type { StorageRequest } from './wire/request.ts'
import type { StorageError } from './wire/storage-error.ts'

/** What requests are answered with. */
export interface ServerParts {
  /** By name. The caller may add and remove accounts while the server runs. */
  readonly accounts: ReadonlyMap<string, StorageAccount>
  readonly access: AccessControl
}

/** The account of a request: 404 `AccountNotFound`. */
export function accountOf(parts: ServerParts, request: StorageRequest): StorageAccount {
  const account = parts.accounts.get(request.account)
  if (account === undefined) throw refusal('AccountNotFound')
  return account
}

/** Finds the verb, checks who asks and what they may, and runs it. Throws `StorageError`. */
export async function runRequest(
  parts: ServerParts,
  request: StorageRequest,
  verb: Verb | undefined = findVerb(request),
): Promise<StorageAnswer> {
  const account = accountOf(parts, request)
  const caller = await parts.access.authenticate(request, account)
  if (verb === undefined) throw unknownVerb(request)
  const target = { request, account }
  parts.access.authorize(caller, verb.needs(request, account), target)
  const context: VerbContext = {
    request,
    account,
    caller,
    authorize: (needs) => parts.access.authorize(caller, needs, target),
    dispatch: (inner) => runRequest(parts, inner),
    container: () => containerOf(account, request),
  }
  if (request.method === 'GET' || request.method === 'HEAD') return verb.run(context)
  // Nothing is changed on top of changes that could not be written, and no answer goes out before
  // what it says will outlive the process.
  await account.settled()
  if (request.container === feedContainer && account.feed !== undefined) {
    throw refusal('AuthorizationPermissionMismatch')
  }
  const run = () => verb.run(context)
  const answer = await (account.feed?.during(verb.name, request, run) ?? run())
  await account.settled()
  return answer
}

function containerOf(account: StorageAccount, { container, face }: StorageRequest): Container {
  const found = container === undefined ? undefined : account.container(container)
  if (found !== undefined) return found
  throw refusal(face === 'dfs' ? 'FilesystemNotFound' : 'ContainerNotFound')
}

function unknownVerb({ query }: StorageRequest): StorageError {
  for (const name of ['comp', 'restype', 'resource', 'action']) {
    const value = query.get(name)
    if (value !== undefined) return invalidQuery(name, value)
  }
  return refusal('UnsupportedHttpVerb')
}
