import { parseDocument } from 'yaml'
import type { z } from 'zod'
import { FileSystemError } from '../errors.ts'
import { type ConnectorConfig, configSchema } from './config-schema.ts'
import type { Policy } from './policy.ts'

export type { CallerConfig, JwtCaller, KeyCaller } from './callers/caller-config.ts'
export type { ConnectorConfig, IdentityConfig, ListenConfig } from './config-schema.ts'

/** Where a configuration text came from, for messages. */
export interface ConfigSource {
  readonly file: string
}

/**
 * Reads the connector's YAML configuration. Throws `EINVAL` that names the file, the key and what
 * is expected there; a secret written into the file is refused without repeating it.
 */
export function parseConnectorConfig(yaml: string, source: ConfigSource): ConnectorConfig {
  const document = parseDocument(yaml)
  const [fault] = document.errors
  if (fault !== undefined) throw configError(source, `is not YAML: ${fault.message.split('\n')[0]}`)
  const value: unknown = document.toJS()
  refuseInlineSecrets(value, [], source)
  const result = configSchema.safeParse(value, { reportInput: false })
  if (result.success) return result.data
  throw configError(source, result.error.issues.map(describeIssue).join('; '))
}

/** What {@link decide} needs of a configuration. */
export function policyOf(value: ConnectorConfig): Policy {
  return { accounts: value.accounts, rules: value.policy, tokens: value.tokens }
}

const INLINE_SECRETS = /^(clientSecret|secret|password|accountKey|key|privateKey|token|sas)$/i

function refuseInlineSecrets(value: unknown, path: readonly string[], source: ConfigSource): void {
  if (typeof value !== 'object' || value === null) return
  for (const [key, child] of Object.entries(value)) {
    const here = [...path, key]
    if (!Array.isArray(value) && INLINE_SECRETS.test(key)) {
      throw configError(
        source,
        `'${here.join('.')}' would hold a secret: name a file or an environment variable instead (clientSecretFile, clientSecretEnv, certificateFile, tls.keyFile, keySha256)`,
      )
    }
    refuseInlineSecrets(child, here, source)
  }
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') {
    const place = issue.path.length === 0 ? 'at the top' : `in '${issue.path.join('.')}'`
    return `${issue.keys.map((key) => `'${key}'`).join(', ')} is not a key ${place}`
  }
  const missing = issue.code === 'invalid_type' && issue.message.includes('undefined')
  return `'${issue.path.join('.')}' ${missing ? 'is missing' : `: ${issue.message}`}`.replace(
    ' :',
    ':',
  )
}

function configError(source: ConfigSource, detail: string): FileSystemError {
  return new FileSystemError('EINVAL', 'connector.config', { detail, path: source.file })
}
