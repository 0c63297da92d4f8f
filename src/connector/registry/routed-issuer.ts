import { LRUCache } from 'lru-cache'
import type { AzureLookups } from '../azure-lookups.ts'
import { ConnectorError } from '../connector-error.ts'
import type {
  IdentityFacts,
  Issued,
  IssuedToken,
  IssueOptions,
  Issuer,
  SignedBlobs,
} from '../issuer.ts'
import { type Auth, isImplicit, type Secrets } from '../model/auth.ts'
import type { ConnectorBody } from '../model/connector.ts'
import type { StoredRecord } from '../model/record.ts'
import type { Grant } from '../policy.ts'
import type { TokenGrant } from '../token-policy.ts'

type ConnectorRecord = StoredRecord<ConnectorBody>

/** What a {@link RoutedIssuer} works with. */
export interface RoutedIssuerOptions {
  /** Issues what rules of the file without a connector grant; absent when there is no `identity`. */
  readonly own?: Issuer | undefined
  readonly find: (id: string) => Promise<ConnectorRecord | undefined>
  readonly secrets: (connector: ConnectorRecord) => Promise<Secrets>
  readonly open: (auth: Auth, secrets: Secrets) => Promise<Issuer>
  /** Whether the operator lets this connector use the identity of the machine. */
  readonly mayBeImplicit: (connector: ConnectorRecord) => boolean
}

/** Connectors whose identities are open at the same time. */
const maxOpen = 500

/**
 * Issues with the identity of the connector that a grant came from. An identity is opened when it
 * is first needed and again after its connector has changed; nothing of the old one is used then.
 */
export class RoutedIssuer implements Issuer {
  readonly #options: RoutedIssuerOptions
  readonly #open = new LRUCache<string, { revision: number; issuer: Promise<Issuer> }>({
    max: maxOpen,
  })

  constructor(options: RoutedIssuerOptions) {
    this.#options = options
  }

  async issue(grant: Grant, options: IssueOptions): Promise<Issued> {
    const issuer = await this.#issuerOf(grant.connector)
    return issuer.issue(grant, options)
  }

  async issueToken(grant: TokenGrant, options: IssueOptions): Promise<IssuedToken> {
    const issuer = await this.#issuerOf(grant.connector)
    if (issuer.issueToken === undefined) throw storageAlone()
    return issuer.issueToken(grant, options)
  }

  /** With the identity of the one connector that grants them. */
  async signBlobs(grants: readonly Grant[], options: IssueOptions): Promise<SignedBlobs> {
    const connectors = [...new Set(grants.map(({ connector }) => connector))]
    const [connector, ...others] = connectors
    if (others.length > 0) throw severalConnectors()
    const issuer = await this.#issuerOf(connector)
    if (issuer.signBlobs === undefined) throw storageAlone()
    return issuer.signBlobs(grants, options)
  }

  async lookupsFor(connector: string | undefined): Promise<AzureLookups | undefined> {
    const issuer = await this.#issuerOf(connector)
    return issuer.lookupsFor?.(connector)
  }

  async identityOf(
    connector: string,
    resource: string,
    signal?: AbortSignal,
  ): Promise<IdentityFacts> {
    const issuer = await this.#issuerOf(connector)
    if (issuer.identityOf === undefined) throw storageAlone()
    return issuer.identityOf(connector, resource, signal)
  }

  async close(): Promise<void> {
    const others = [...this.#open.values()].map(async ({ issuer }) => (await issuer).close?.())
    await Promise.allSettled([this.#options.own?.close?.(), ...others])
  }

  /** Of the file's own identity; those of connectors are checked by verifying them. */
  async checkIdentity(signal?: AbortSignal): Promise<void> {
    await this.#options.own?.checkIdentity?.(signal)
  }

  /** The issuer of a connector by its id. Rejects with `ConnectorError`. */
  async #issuerOf(connector: string | undefined): Promise<Issuer> {
    if (connector === undefined) {
      if (this.#options.own === undefined) throw noIdentity()
      return this.#options.own
    }
    const record = await this.#options.find(connector)
    if (record === undefined) throw gone()
    if (isImplicit(record.body.auth) && !this.#options.mayBeImplicit(record)) {
      throw implicitDisabled(record.body)
    }
    const known = this.#open.get(record.id)
    if (known?.revision === record.revision) return known.issuer
    const issuer = this.#opened(record)
    this.#open.set(record.id, { revision: record.revision, issuer })
    issuer.catch(() => this.#open.delete(record.id))
    return issuer
  }

  async #opened(record: ConnectorRecord): Promise<Issuer> {
    try {
      return await this.#options.open(record.body.auth, await this.#options.secrets(record))
    } catch (cause) {
      throw cannotOpen(record.body, cause)
    }
  }
}

function severalConnectors(): ConnectorError {
  return new ConnectorError('invalid_scope', 'scope_unenforceable', {
    detail: 'the blobs are granted through several connectors',
    hint: 'ask for those of one prefix at a time',
  })
}

function storageAlone(): ConnectorError {
  return new ConnectorError('invalid_scope', 'unsupported_auth_for_resource', {
    detail: 'the identity of this connector issues credentials for storage alone',
    hint: 'ask for credentials of a storage account',
  })
}

function noIdentity(): ConnectorError {
  return new ConnectorError('server_error', 'identity_unavailable', {
    detail: 'the rule names no connector, and the configuration has no identity of its own',
    hint: 'operator: add an identity section, or grant through a connector',
  })
}

function gone(): ConnectorError {
  return new ConnectorError('access_denied', 'permission_not_granted', {
    detail: 'the connector behind this grant was removed meanwhile',
    hint: 'ask again',
    retryable: true,
  })
}

function implicitDisabled({ name, auth }: ConnectorBody): ConnectorError {
  return new ConnectorError('access_denied', 'implicit_auth_disabled', {
    detail: `connector '${name}' would lend the identity of the machine (${auth.method}), which the operator has not allowed`,
    hint: `operator: list '${name}' in allowImplicitIdentityFor, or give the connector an identity of its own`,
  })
}

function cannotOpen({ name }: ConnectorBody, cause: unknown): ConnectorError {
  return new ConnectorError('temporarily_unavailable', 'identity_unavailable', {
    detail: `the identity of connector '${name}' cannot be opened`,
    hint: 'operator: see the audit log under this id; a secret, file or sealing key is missing',
    cause,
  })
}
