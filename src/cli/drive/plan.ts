/** What `abfs mount` would do, and whether it could. Nothing is mounted. */
import { access, constants, readdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Command } from 'commander'
import type { AzureUrl } from '../../azure-url.ts'
import { systemClock } from '../../clock.ts'
import type { Config } from '../../config.ts'
import { checkGiven } from '../../fuse/given-connection.ts'
import { givenDescriptor } from '../../fuse/given-place.ts'
import { canonicalMountpoint, findMount } from '../../fuse/mount-table.ts'
import { type CliContext, configOf } from '../context.ts'
import { codeOf } from '../exit-codes.ts'
import { type AccountTarget, targetOf } from '../location.ts'
import { describeError } from '../report-error.ts'
import { withAccount } from '../session.ts'
import type { DriveSettings } from './drive-options.ts'
import { examineMachine, type Finding } from './examine.ts'
import { examineCache } from './examine-local.ts'
import { tellStarter } from './launch.ts'
import { probePlace } from './plan-probes.ts'
import { accessOf, accountSeenBy } from './seen-account.ts'
import { shownBy } from './shown.ts'
import { StartWatch } from './start-watch.ts'

/** One value that counts, and what gave it: a flag, a variable, or `default`. */
export interface PlannedSetting {
  readonly name: string
  readonly value: string | number | boolean | null
  readonly origin: string
}

/** What a mount would be. */
export interface Plan {
  readonly settings: readonly PlannedSetting[]
  readonly findings: readonly Finding[]
}

export interface PlanOptions {
  readonly url: AzureUrl
  readonly settings: DriveSettings
  /** Whether to try writing, tagging and deleting too. */
  readonly write: boolean
  /** Whether the mount would make the directory where it is missing. */
  readonly isMade: boolean
}

/** Looks at everything that `abfs mount` would need. Rejects for settings that cannot be used. */
export async function planDrive(
  options: PlanOptions,
  command: Command,
  context: CliContext,
): Promise<Plan> {
  const { url, settings, write, isMade } = options
  const config = await configOf(command, context)
  const target = targetOf(config, [url])
  const start = new StartWatch({
    connector: config.connector,
    blobEndpoint: target.blobEndpoint,
    timeoutMs: settings.startTimeoutMs,
    tell: tellStarter(context.stderr),
    clock: systemClock,
  })
  const root = { container: url.container, name: url.name.replace(/\/+$/, '') }
  const access = accessOf(settings)
  const machine = await examineMachine(context.environment, context.signal)
  const session = { access, urls: [url], abandoned: () => start.signal } as const
  const probed = withAccount(command, context, session, (account) => {
    const shown = accountSeenBy(account, { ...settings, root })
    return start.run((signal) =>
      probePlace(shown, {
        root,
        write,
        statsDir: settings.statsDir,
        usesChangeFeed: settings.changeFeedMs !== undefined,
        isShown: settings.hiding && shownBy(settings.hiding),
        signal: AbortSignal.any([signal, context.signal]),
      }),
    )
  })
  const place = await probed.catch((error: unknown): Finding[] => {
    if (start.signal?.aborted !== true) throw error
    return [{ name: 'list', verdict: 'failed', detail: describeError(error).line }]
  })
  const findings = [
    ...machine.flatMap((finding) => ofConcern(finding, settings)),
    await examineDirectory(settings, isMade),
    ...(await examineCacheDir(config.cacheDir, settings)),
    ...place,
  ]
  const effective = [
    ...driveSettings(settings, command),
    ...connectionSettings(config, target, command),
  ]
  return { settings: effective, findings }
}

async function examineCacheDir(
  cacheDir: string | undefined,
  { stateDirectory }: DriveSettings,
): Promise<Finding[]> {
  if (cacheDir === undefined) return []
  return [{ name: 'cache', ...(await examineCache(cacheDir, stateDirectory)) }]
}

/** What the machine lacks matters where the drive would use it. */
function ofConcern(finding: Finding, settings: DriveSettings): Finding[] {
  const { name } = finding
  if (name === 'settings' || name === 'drives') return []
  if (name === 'fuse-native' && settings.driver !== name) return []
  if (name === 'passthrough' && !settings.passthrough) return []
  if (name === 'failover') return settings.failover ? [needed(finding)] : []
  if (name !== 'allow-other') return [finding]
  if (!settings.allowOther) return []
  return [needed(finding)]
}

/** Without it the drive would not be mounted. */
function needed(finding: Finding): Finding {
  return finding.verdict === 'warned' ? { ...finding, verdict: 'failed' } : finding
}

/** As a mount would, but a dead drive there is left; what is mounted is not touched: it may hang. */
async function examineDirectory(
  { directory, nonEmpty }: DriveSettings,
  isMade: boolean,
): Promise<Finding> {
  const said = (verdict: Finding['verdict'], detail: string): Finding => {
    return { name: 'directory', verdict, detail: `${directory} ${detail}` }
  }
  const given = givenDescriptor(directory)
  try {
    if (given !== undefined) {
      checkGiven(given)
      return said('ok', 'is a /dev/fuse of another process, which must have mounted it')
    }
    const mountpoint = await canonicalMountpoint(directory)
    const mounted = await findMount(mountpoint)
    if (mounted !== undefined) return said('failed', `has ${mounted.source} mounted on it`)
    const { length } = await readdir(mountpoint)
    if (length === 0) return said('ok', 'is there and empty')
    if (nonEmpty) return said('ok', `has ${length} names, which the drive would hide`)
    return said('failed', `has ${length} names in it: --non-empty hides them`)
  } catch (error) {
    if (isMade && codeOf(error) === 'ENOENT' && (await takesNames(dirname(directory)))) {
      return said('ok', 'would be made')
    }
    return said('failed', `cannot be used: ${error instanceof Error ? error.message : error}`)
  }
}

const takesNames = (directory: string): Promise<boolean> =>
  access(directory, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  )

/** Settings whose flag is named otherwise. */
const flagOf: Readonly<Record<string, string>> = {
  attrTtlMs: 'attrTtl',
  changeFeedMs: 'changeFeed',
  timeoutMs: 'timeout',
  startTimeoutMs: 'startTimeout',
  cacheBytes: 'cacheSize',
  xattrs: 'xattr',
  slowMs: 'slow',
  moment: 'at',
  otlp: 'otlpEndpoint',
}

function driveSettings(settings: DriveSettings, command: Command): PlannedSetting[] {
  return Object.entries(settings).map(([name, value]) => {
    const flag = countingFlag(name, settings, command)
    const origin =
      (name === 'otlp' ? settings.otlp?.origin : undefined) ?? originOf(command, name, flag)
    // Its headers are secret.
    const shown = name === 'otlp' ? settings.otlp?.url.href.replace(/\?.*/, '') : value
    return { name, value: plain(name, shown), origin }
  })
}

/** The flag that gave the setting `name`; of several the first. */
function countingFlag(name: string, settings: DriveSettings, command: Command): string {
  const isAged = name === 'readOnly' || name === 'attrTtlMs'
  if (settings.immutable && isAged) return 'immutable'
  if (name === 'timeoutMs' && settings.timeoutMs === 0) return 'hard'
  if (name !== 'hiding') return flagOf[name] ?? name
  const isGiven = (flag: string) => command.getOptionValueSource(flag) !== undefined
  return ['include', 'exclude', 'filter'].find(isGiven) ?? name
}

function originOf(command: Command, name: string, flag: string): string {
  if (name === 'directory') return 'argument'
  const source = command.getOptionValueSource(flag)
  if (source !== 'cli') return source ?? 'default'
  const option = command.options.find((each) => each.attributeName() === flag)
  return option?.long ?? 'default'
}

function plain(name: string, value: unknown): PlannedSetting['value'] {
  if (name === 'fileMode' || name === 'dirMode') return Number(value).toString(8)
  if (typeof value === 'number' || typeof value === 'boolean') return value
  if (value === undefined) return null
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Secrets are not among them: of a proof only where it comes from. */
function connectionSettings(
  config: Config,
  target: AccountTarget,
  command: Command,
): PlannedSetting[] {
  const { origins, connector } = config
  const from = (name: string): string => {
    const origin = origins[name] ?? 'default'
    // A value of a configuration file stands where that of a flag does.
    return origin.startsWith('--') && command.getOptionValueSource(name) !== undefined
      ? originOf(command, name, name)
      : origin
  }
  const accountFrom = config.account === target.account ? from('account') : 'argument'
  return [
    { name: 'account', value: target.account, origin: accountFrom },
    { name: 'blobEndpoint', value: target.blobEndpoint.href, origin: from('blobEndpoint') },
    { name: 'dfsEndpoint', value: target.dfsEndpoint.href, origin: from('dfsEndpoint') },
    { name: 'hns', value: config.hns, origin: from('hns') },
    { name: 'prefix', value: config.prefix ?? null, origin: from('prefix') },
    { name: 'caFile', value: config.caFile ?? null, origin: from('caFile') },
    { name: 'connectorUrl', value: connector?.url.href ?? null, origin: from('connectorUrl') },
    {
      name: 'connectorProof',
      value: connector?.proof.kind ?? null,
      origin: from('connectorProof'),
    },
    {
      name: 'encryptionKey',
      value: config.customerKey === undefined ? null : 'given',
      origin: from('encryptionKeyFile'),
    },
    { name: 'cacheDir', value: config.cacheDir ?? null, origin: from('cacheDir') },
    { name: 'logLevel', value: config.logLevel, origin: from('logLevel') },
    { name: 'transport', value: config.transport, origin: from('transport') },
  ]
}
