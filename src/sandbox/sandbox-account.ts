import { randomBytes } from 'node:crypto'

/** A storage account of a sandbox. */
export interface SandboxAccount {
  /** 3 to 24 lower-case letters and digits. */
  readonly name: string
  /** Base64; a random one when absent. */
  readonly key?: string
  /** Hierarchical namespace, with dfs; flat when absent. Needs the engine `abfs`. */
  readonly hierarchical?: boolean
  /** Keeps versions of blobs; flat accounts alone can. Needs the engine `abfs`. */
  readonly versioning?: boolean
}

/** What runs the storage accounts: the server of this package, or Azurite. */
export type StorageEngine = 'abfs' | 'azurite'

/** An account with all that is to know. */
export interface ParsedAccount {
  readonly name: string
  readonly key: string
  readonly hierarchical: boolean
  readonly versioning?: boolean
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
  const special = accounts.find(
    ({ hierarchical, versioning }) => hierarchical || versioning === true,
  )
  if (special === undefined) return asked ?? (needsOwn ? 'abfs' : 'azurite')
  if (asked === 'azurite') {
    const what = special.hierarchical ? 'is hierarchical' : 'keeps versions'
    throw new RangeError(
      `the account '${special.name}' ${what}, which Azurite cannot; expected the engine 'abfs'`,
    )
  }
  return 'abfs'
}

function parseAccount(account: SandboxAccount): ParsedAccount {
  const { name, hierarchical = false, versioning = false } = account
  if (!/^[a-z0-9]{3,24}$/.test(name)) {
    throw new RangeError(
      `account.name is '${name}'; expected 3 to 24 lower-case letters and digits`,
    )
  }
  if (hierarchical && versioning) {
    throw new RangeError(
      `the account '${name}' is hierarchical, and such accounts keep no versions`,
    )
  }
  const key = account.key ?? randomBytes(accountKeyBytes).toString('base64')
  return { name, key, hierarchical, ...(versioning ? { versioning } : {}) }
}
