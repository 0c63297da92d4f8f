import { randomBytes } from 'node:crypto'

/** A storage account of a sandbox. */
export interface SandboxAccount {
  /** 3 to 24 lower-case letters and digits. */
  readonly name: string
  /** Base64; a random one when absent. */
  readonly key?: string
  /** Hierarchical namespace, with dfs; flat when absent. Needs the engine `abfs`. */
  readonly hierarchical?: boolean
}

/** What runs the storage accounts: the server of this package, or Azurite. */
export type StorageEngine = 'abfs' | 'azurite'

/** An account with all that is to know. */
export interface ParsedAccount {
  readonly name: string
  readonly key: string
  readonly hierarchical: boolean
}

const accountKeyBytes = 64

/** Checks accounts and gives those without a key a random one. */
export function parseAccounts(accounts: readonly SandboxAccount[]): readonly ParsedAccount[] {
  const names = accounts.map(({ name }) => name)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new RangeError(`the account '${twice}' is named twice`)
  return accounts.map(parseAccount)
}

/** The engine asked for, or else the one that accounts and other options need. */
export function engineFor(
  accounts: readonly ParsedAccount[],
  asked: StorageEngine | undefined,
  needsOwn: boolean,
): StorageEngine {
  const hierarchical = accounts.find((account) => account.hierarchical)
  if (hierarchical === undefined) return asked ?? (needsOwn ? 'abfs' : 'azurite')
  if (asked === 'azurite') {
    throw new RangeError(
      `the account '${hierarchical.name}' is hierarchical, which Azurite cannot be; expected the engine 'abfs'`,
    )
  }
  return 'abfs'
}

function parseAccount({ name, key, hierarchical = false }: SandboxAccount): ParsedAccount {
  if (!/^[a-z0-9]{3,24}$/.test(name)) {
    throw new RangeError(
      `account.name is '${name}'; expected 3 to 24 lower-case letters and digits`,
    )
  }
  return { name, key: key ?? randomBytes(accountKeyBytes).toString('base64'), hierarchical }
}
