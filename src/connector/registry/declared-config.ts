import { z } from 'zod'
import { isImplicit } from '../model/auth.ts'
import {
  type ConnectorBody,
  connectorBody,
  type PolicyBody,
  policyBody,
} from '../model/connector.ts'

/** Where a connector keeps what its API changes. Passwords are named by file or variable only. */
export interface StateConfig {
  /** A directory for the embedded database; one process at a time. */
  readonly directory?: string | undefined
  /** Whether what the embedded database commits is on the disk, not only with the kernel. Default true. */
  readonly sync?: boolean | undefined
  /** A PostgreSQL server, for several replicas; a file or variable holds its URL. */
  readonly postgresUrlFile?: string | undefined
  readonly postgresUrlEnv?: string | undefined
  /** The ring of sealing keys: a file, a variable, or a secret of a Key Vault by its URL. */
  readonly sealingKeysFile?: string | undefined
  readonly sealingKeysEnv?: string | undefined
  readonly sealingKeysVaultSecret?: string | undefined
}

/** What a configuration declares of connectors, policies and state. */
export interface DeclaredConfig {
  readonly connectors: readonly ConnectorBody[]
  readonly policies: readonly PolicyBody[]
  /** Connectors of the state that may lend the identity of the machine, by name. */
  readonly allowImplicitIdentityFor: readonly string[]
  readonly state?: StateConfig | undefined
}

const text = z.string().min(1)
const state: z.ZodType<StateConfig> = z
  .strictObject({
    directory: text.optional(),
    sync: z.boolean().optional(),
    postgresUrlFile: text.optional(),
    postgresUrlEnv: text.optional(),
    sealingKeysFile: text.optional(),
    sealingKeysEnv: text.optional(),
    sealingKeysVaultSecret: text
      .regex(/^https:\/\/[a-z0-9-]+\.vault\.[a-z0-9.-]+(:\d+)?\/secrets\/[A-Za-z0-9-]+$/, {
        message: 'must be https://VAULT.vault.azure.net/secrets/NAME',
      })
      .optional(),
  })
  .superRefine((value, context) => {
    const { directory, postgresUrlFile, postgresUrlEnv } = value
    if (count(directory, postgresUrlFile, postgresUrlEnv) !== 1) {
      const message = 'give one of directory, postgresUrlFile and postgresUrlEnv'
      context.addIssue({ code: 'custom', path: ['directory'], message })
    }
    if (value.sync !== undefined && directory === undefined) {
      const message = "is for 'directory' alone: a server has settings of its own"
      context.addIssue({ code: 'custom', path: ['sync'], message })
    }
    const { sealingKeysFile, sealingKeysEnv, sealingKeysVaultSecret } = value
    if (count(sealingKeysFile, sealingKeysEnv, sealingKeysVaultSecret) !== 1) {
      const message = 'give one of sealingKeysFile, sealingKeysEnv and sealingKeysVaultSecret'
      context.addIssue({ code: 'custom', path: ['sealingKeysFile'], message })
    }
  })

/** The fields of a configuration, for its schema. */
export const declaredFields: {
  readonly connectors: z.ZodType<readonly ConnectorBody[]>
  readonly policies: z.ZodType<readonly PolicyBody[]>
  readonly allowImplicitIdentityFor: z.ZodType<readonly string[]>
  readonly state: z.ZodType<StateConfig | undefined>
} = {
  connectors: z.array(connectorBody).default([]),
  policies: z.array(policyBody).default([]),
  allowImplicitIdentityFor: z.array(text).default([]),
  state: state.optional(),
}

/** What is wrong among the declarations: where, and why. */
export function declaredFaults(
  value: DeclaredConfig,
): readonly { readonly path: readonly (string | number)[]; readonly message: string }[] {
  return [
    ...twice('connectors', value.connectors),
    ...twice('policies', value.policies),
    ...value.connectors.flatMap(({ name, auth }, index) =>
      isImplicit(auth) && !value.allowImplicitIdentityFor.includes(name)
        ? [
            {
              path: ['connectors', index, 'auth', 'method'],
              message: `'${auth.method}' lends whatever identity this machine has; list '${name}' in allowImplicitIdentityFor to agree`,
            },
          ]
        : [],
    ),
    ...value.policies.flatMap(({ connector }, index) =>
      value.state !== undefined || value.connectors.some(({ name }) => name === connector)
        ? []
        : [
            {
              path: ['policies', index, 'connector'],
              message: `no connector is named '${connector}'`,
            },
          ],
    ),
  ]
}

function twice(
  field: string,
  bodies: readonly { readonly name: string }[],
): readonly { readonly path: readonly (string | number)[]; readonly message: string }[] {
  const names = bodies.map(({ name }) => name)
  return names.flatMap((name, index) =>
    names.indexOf(name) < index
      ? [{ path: [field, index, 'name'], message: `'${name}' is named twice` }]
      : [],
  )
}

function count(...values: readonly (string | undefined)[]): number {
  return values.filter((value) => value !== undefined).length
}
