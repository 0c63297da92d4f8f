import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { otherAudiences, storageAudiences } from '../../agent/audience.ts'
import { agentVariables, type FederationFacts } from '../../agent/environment.ts'
import { keepFederatedTokenFile } from '../../agent/federated-token-file.ts'
import { type Agent, startAgent } from '../../agent/server.ts'
import type { Config } from '../../config.ts'
import { CachedCredentialProvider } from '../../credential/cached-provider.ts'
import type { CredentialProvider } from '../../credential/credential.ts'
import { writePrivateFile } from '../../sandbox/run-directory.ts'
import { openTokens, type TokenProviders } from '../compose.ts'
import { type CliContext, configOf } from '../context.ts'
import { type AccountTarget, targetOf } from '../location.ts'
import { describeError, formatReport } from '../report-error.ts'
import { PERMISSIONS } from '../request-scope.ts'
import { countTraffic } from '../session.ts'
import { usageError } from '../usage.ts'
import type { AgentFlags } from './flags.ts'

/** An agent with all that belongs to it. */
export interface OpenAgent {
  readonly agent: Agent
  readonly account: string
  /** What its clients' environment must hold; secrets among them. */
  readonly variables: Readonly<Record<string, string>>
  readonly config: Config
  /** Ends it and removes what it wrote. */
  close(): Promise<void>
}

/** Opens an agent as the flags of `command` say. What fails later is told on standard error. */
export async function openAgent(
  flags: AgentFlags,
  command: Command,
  context: CliContext,
): Promise<OpenAgent> {
  const config = await configOf(command, context)
  const target = targetOf(config, [])
  const federation = federationOf(flags, config)
  const tokens = await openTokens(config)
  const closers = [await countTraffic(flags.statsFile), tokens.close]
  const close = async (): Promise<void> => {
    for (const each of closers.splice(0).reverse()) await each()
  }
  try {
    if (federation !== undefined) closers.push(await keepFile(federation, tokens))
    const agent = await listen(flags, target, tokens)
    closers.push(agent.close)
    warm(flags, target, { tokens, context })
    const { account } = target
    return {
      agent,
      account,
      config,
      variables: variablesOf(agent, { account, flags, federation }),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function listen(flags: AgentFlags, target: AccountTarget, tokens: TokenProviders): Promise<Agent> {
  const storage = storageAudiences({
    provider: tokens.storage,
    account: target.account,
    container: flags.container,
    permissions: permissionsOf(flags),
    service: flags.service,
    cloud: cloudOf(target),
  })
  const others = new Map(flags.audience.map((name) => [name, audienceProvider(name, tokens)]))
  return startAgent({
    audiences: new Map([...storage, ...otherAudiences(others)]),
    clock: tokens.clock,
    identities: flags.identity,
    cloudShell: flags.cloudShell,
    azureMl: flags.azureMl,
    openImds: flags.openImds,
  })
}

function audienceProvider(audience: string, tokens: TokenProviders): CredentialProvider {
  const { exchange, clock } = tokens
  if (exchange === undefined) throw needsConnector('--audience')
  const scope = `${audience}/.default`
  return new CachedCredentialProvider({ getCredential: () => exchange.get({ scope }) }, { clock })
}

/** The endpoint suffix by which clients of the account's cloud name its audiences. */
function cloudOf({ account, blobEndpoint }: AccountTarget): string | undefined {
  const prefix = `${account}.blob.`
  const { hostname } = blobEndpoint
  return hostname.startsWith(`${prefix}core.`) ? hostname.slice(prefix.length) : undefined
}

function federationOf(flags: AgentFlags, config: Config): FederationFacts | undefined {
  const { federatedTokenFile: file, clientId, tenantId } = flags
  if (file === undefined) return undefined
  if (clientId === undefined || tenantId === undefined) {
    throw usageError('--federated-token-file needs --client-id and --tenant-id of who trusts it')
  }
  return { file: resolve(file), clientId, tenantId, authorityHost: config.authorityHost }
}

async function keepFile(
  { file }: FederationFacts,
  tokens: TokenProviders,
): Promise<() => Promise<void>> {
  const { exchange, clock } = tokens
  if (exchange === undefined) throw needsConnector('--federated-token-file')
  const target = { audience: 'api://AzureADTokenExchange', type: 'assertion' } as const
  const kept = await keepFederatedTokenFile({
    assertion: (signal) => exchange.get(target, signal),
    write: (token) => writePrivateFile(file, token),
    remove: () => rm(file, { force: true }),
    clock,
  })
  return kept.close
}

function needsConnector(flag: string): Error {
  return usageError(`${flag} needs a connector: set ABFS_CONNECTOR_URL`)
}

interface VariableSources {
  readonly account: string
  readonly flags: AgentFlags
  readonly federation: FederationFacts | undefined
}

function variablesOf(
  agent: Agent,
  { account, flags, federation }: VariableSources,
): Record<string, string> {
  const { cloudShell, azureMl, openImds } = flags
  return agentVariables(agent, { account, cloudShell, azureMl, openImds, federation })
}

function permissionsOf(flags: AgentFlags): (typeof PERMISSIONS)['read'] {
  return PERMISSIONS[flags.write === true ? 'write' : 'read']
}

interface WarmUp {
  readonly tokens: TokenProviders
  readonly context: CliContext
}

/** Fetches the first token ahead of the first client, so that a refusal is read here and early. */
function warm(flags: AgentFlags, { account }: AccountTarget, { tokens, context }: WarmUp): void {
  const { service, container } = flags
  const scope = { account, service, container, permissions: permissionsOf(flags) }
  tokens.storage.getCredential(scope, { signal: context.signal }).catch((error: unknown) => {
    if (!context.signal.aborted)
      context.stderr.write(formatReport(describeError(error), error, false))
  })
}
