import { resolve } from 'node:path'
import { type AzureUrl, dfsEndpointOf, parseAzureUrl } from '../azure-url.ts'
import type { Config } from '../config.ts'
import { usageError } from './usage.ts'

/** What an argument names: a place in Azure, a local file, or a standard stream (`-`). */
export type Location =
  | { readonly kind: 'remote'; readonly url: AzureUrl }
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'stream' }

/** The account that a command works in, and its endpoints where they are not the public cloud's. */
export interface AccountTarget {
  readonly account: string
  readonly blobEndpoint: URL
  readonly dfsEndpoint: URL
}

const REMOTE = /^(abfss?|az|wasbs?|https?):\/\//i

/** Reads an argument of a command that takes local files too. */
export function parseLocation(text: string): Location {
  if (text === '-') return { kind: 'stream' }
  return REMOTE.test(text)
    ? { kind: 'remote', url: parseRemote(text) }
    : { kind: 'local', path: resolve(text) }
}

/** Reads an argument of a command that works in Azure alone. Throws a usage error for others. */
export function parseRemote(text: string): AzureUrl {
  if (!REMOTE.test(text)) {
    throw usageError(`'${text}' is not a place in Azure: write abfs://CONTAINER/PATH`)
  }
  try {
    return parseAzureUrl(text)
  } catch (cause) {
    throw usageError(cause instanceof Error ? cause.message : String(cause), cause)
  }
}

/** Sources and target, where all are in Azure and a source is in another account than the target's. */
export function acrossAccounts(
  from: readonly Location[],
  to: Location,
): { readonly from: readonly AzureUrl[]; readonly to: AzureUrl } | undefined {
  const urls = from.flatMap((place) => (place.kind === 'remote' ? [place.url] : []))
  if (to.kind !== 'remote' || urls.length < from.length) return undefined
  const { account } = to.url
  const isOther = (url: AzureUrl): boolean => url.account !== undefined && url.account !== account
  return account !== undefined && urls.some(isOther) ? { from: urls, to: to.url } : undefined
}

/**
 * The one account that `urls` and `config` agree on. A URL that names an account beats the
 * environment, but not a flag that says otherwise.
 */
export function targetOf(config: Config, urls: readonly AzureUrl[]): AccountTarget {
  const named = urls.filter((url) => url.account !== undefined)
  const [first] = named
  const other = named.find((url) => url.account !== first?.account)
  if (first !== undefined && other !== undefined) {
    throw usageError(
      `both ${first.account} and ${other.account} are named: name one; abfs cp and abfs sync copy between two`,
    )
  }
  const account = first?.account ?? config.account
  if (account === undefined) {
    throw usageError('no storage account is named: set ABFS_ACCOUNT or --account')
  }
  checkFlag(config, account)
  return { account, ...endpointsOf(config, account, first) }
}

function checkFlag(config: Config, account: string): void {
  if (config.origins['account'] !== '--account' || config.account === account) return
  throw usageError(`--account is ${config.account}, but the URL is of ${account}`)
}

/** Settings speak of the configured account; another one is reached where its URL says. */
function endpointsOf(
  config: Config,
  account: string,
  url: AzureUrl | undefined,
): Omit<AccountTarget, 'account'> {
  const isConfigured = config.account === undefined || config.account === account
  const blob = isConfigured ? config.blobEndpoint : undefined
  const dfs = isConfigured ? config.dfsEndpoint : undefined
  if (blob !== undefined) return { blobEndpoint: blob, dfsEndpoint: dfs ?? dfsEndpointOf(blob) }
  const publicCloud = (service: string) => `https://${account}.${service}.core.windows.net`
  const said = url?.endpoint
  const blobEndpoint = new URL(said?.blob ?? publicCloud('blob'))
  const saidDfs = said?.dfs === undefined ? undefined : new URL(said.dfs)
  return { blobEndpoint, dfsEndpoint: dfs ?? saidDfs ?? dfsEndpointOf(blobEndpoint) }
}
