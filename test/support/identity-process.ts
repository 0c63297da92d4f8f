import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { decodeJwt, type JWTPayload } from 'jose'
import type { Sandbox } from '../../src/sandbox/sandbox.ts'

/** What a credential of @azure/identity answered. */
export interface TokenOutcome {
  readonly token?: string
  readonly claims?: JWTPayload
  readonly expiresOnTimestamp?: number
  /** Name and message, when it rejected. */
  readonly error?: string
}

/** Code that makes a credential from `identity`, the module, and the scope to ask it for. */
export interface TokenCase {
  readonly credential: string
  readonly scope: string
}

const storageScope = 'https://storage.azure.com/.default'

const program = `
import * as identity from '@azure/identity'
const offline = { disableInstanceDiscovery: true, retryOptions: { maxRetries: 0 } }
const outcomes = []
for (const { credential, scope } of JSON.parse(process.argv[1])) {
  try {
    const made = new Function('identity', 'offline', 'return ' + credential)(identity, offline)
    outcomes.push(await made.getToken(scope))
  } catch (error) {
    outcomes.push({ error: error.name + ': ' + error.message })
  }
}
process.stdout.write(JSON.stringify(outcomes))
`

/**
 * Asks credentials of @azure/identity for tokens, in a process of its own that knows the sandbox by
 * environment variables alone, as a deployed program would.
 */
export async function tokensFrom(
  sandbox: Sandbox,
  cases: readonly (TokenCase | string)[],
  environment: Readonly<Record<string, string>> = {},
): Promise<readonly TokenOutcome[]> {
  const asked = cases.map((entry) =>
    typeof entry === 'string' ? { credential: entry, scope: storageScope } : entry,
  )
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '-e', program, '--', JSON.stringify(asked)],
    { env: { ...sandbox.environment(), ...environment } },
  )
  const outcomes: TokenOutcome[] = JSON.parse(stdout)
  return outcomes.map((outcome) =>
    outcome.token === undefined ? outcome : { ...outcome, claims: decodeJwt(outcome.token) },
  )
}
