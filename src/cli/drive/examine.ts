import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { release } from 'node:os'
import { promisify } from 'node:util'
import { type Environment, loadConfig, runtimeDirectory } from '../../config.ts'
import { loadNativeMounting } from '../../fuse/native-channel.ts'
import { codeOf } from '../exit-codes.ts'
import { formatCount } from '../output.ts'
import { type DriveStateName, findDrives } from './drive-states.ts'

/** What one look found. `failed` keeps drives from working; `warned` costs something. */
export interface Finding {
  readonly name: string
  readonly verdict: 'ok' | 'warned' | 'failed'
  readonly detail: string
}

/** Looks at all that a drive needs of this machine. Touches no mount and sends nothing. */
export async function examineMachine(
  environment: Environment,
  signal: AbortSignal,
): Promise<Finding[]> {
  const looks: readonly Look[] = [
    ['addon', examineAddon],
    ['/dev/fuse', examineDevice],
    ['fusermount3', examineHelper],
    ['kernel', examineKernel],
    ['passthrough', examinePassthrough],
    ['failover', examineFailover],
    ['allow-other', examineAllowOther],
    ['settings', async () => examineSettings(environment)],
    ['drives', () => examineDrives(environment, signal)],
    ['fuse-native', async () => examineFuseNative()],
  ]
  return Promise.all(looks.map(async ([name, look]) => ({ name, ...(await look()) })))
}

type Look = readonly [string, () => Promise<Omit<Finding, 'name'>>]

async function examineAddon(): Promise<Omit<Finding, 'name'>> {
  try {
    loadNativeMounting()
    return ok(`loads on Node ${process.version}`)
  } catch (error) {
    return failed(messageOf(error))
  }
}

async function examineDevice(): Promise<Omit<Finding, 'name'>> {
  try {
    await access('/dev/fuse', constants.R_OK | constants.W_OK)
    return ok(`open to this user; Linux ${release()}`)
  } catch (error) {
    if (codeOf(error) === 'EACCES') {
      return failed('not open to this user: have root `chmod 666 /dev/fuse`, or mount as root')
    }
    const advice = '`modprobe fuse`; a container needs `--device /dev/fuse --cap-add SYS_ADMIN`'
    return failed(`missing: ${advice}`)
  }
}

/** Only users who are not root mount by it. */
async function examineHelper(): Promise<Omit<Finding, 'name'>> {
  try {
    const { stdout } = await promisify(execFile)('fusermount3', ['--version'])
    return ok(stdout.trim())
  } catch {
    return isRoot() ? ok('missing; root mounts without it') : failed('missing: install fuse3')
  }
}

/** What is asked of it beyond the protocol's beginnings, and what is left out. */
async function examineKernel(): Promise<Omit<Finding, 'name'>> {
  const text = (file: string) => readFile(file, 'utf8').catch(() => '')
  const pages = Number(await text('/proc/sys/fs/fuse/max_pages_limit')) || 256
  const uring = (await text('/sys/module/fuse/parameters/enable_uring')).trim()
  const offered = uring === '' ? 'not there' : uring === 'Y' ? 'offered' : 'there, turned off'
  const limit = (pages * 4) / 1024
  const requests = `requests of 1 MiB${limit < 1 ? `, but it allows ${limit} MiB` : ''}`
  const detail = `Linux ${release()}: ${requests}; io_uring ${offered}, and not used by abfs`
  return limit < 1 ? warned(detail) : ok(detail)
}

function examineFuseNative(): Omit<Finding, 'name'> {
  try {
    createRequire(import.meta.url).resolve('fuse-native')
    return ok('installed for --driver fuse-native; its limits: abfs doctor --driver fuse-native')
  } catch {
    return ok('not installed; only --driver fuse-native needs it')
  }
}

/** The first with passthrough, and with requests that are sent again, is Linux 6.9. */
function isOld(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number)
  return major < 6 || (major === 6 && minor < 9)
}

async function examineFailover(): Promise<Omit<Finding, 'name'>> {
  if (isOld()) return warned(`Linux ${release()} sends no request again: 6.9 is the first`)
  return ok('--failover works here: read-only drives may outlive their daemon')
}

async function examinePassthrough(): Promise<Omit<Finding, 'name'>> {
  if (isOld()) return warned(`Linux ${release()} has none: 6.9 is the first`)
  if (!isRoot())
    return warned('the kernel has it for root alone: cached files are read through the daemon')
  return ok('the kernel reads cached files of read-only drives with --cache-dir by itself')
}

async function examineAllowOther(): Promise<Omit<Finding, 'name'>> {
  if (isRoot()) return ok('root may')
  const text = await readFile('/etc/fuse.conf', 'utf8').catch(() => '')
  if (/^\s*user_allow_other\b/m.test(text)) return ok('user_allow_other is set in /etc/fuse.conf')
  return warned('--allow-other is refused: have root set user_allow_other in /etc/fuse.conf')
}

function examineSettings(environment: Environment): Omit<Finding, 'name'> {
  try {
    const { account, connector } = loadConfig({}, environment)
    const who = connector === undefined ? 'signs in by itself' : `asks ${connector.url.origin}`
    if (account === undefined) return warned(`no account is named (ABFS_ACCOUNT); ${who}`)
    return ok(`account ${account}; ${who}`)
  } catch (error) {
    return failed(messageOf(error))
  }
}

async function examineDrives(
  environment: Environment,
  signal: AbortSignal,
): Promise<Omit<Finding, 'name'>> {
  const drives = await findDrives(runtimeDirectory(environment, process.getuid?.() ?? 0), signal)
  const ill = drives.filter(({ state, unsaved }) => !wellStates.has(state) || unsaved.length > 0)
  if (ill.length === 0) return ok(`${drives.length} mounted`)
  const names = ill.map(({ directory, state, unsaved }) => {
    return unsaved.length > 0
      ? `${directory}: ${formatCount(unsaved.length, 'change')} not stored`
      : `${directory}: ${state === 'unknown' ? "another user's, or nobody's" : state}`
  })
  const isDead = ill.some(({ state }) => state === 'dead' || state === 'unknown')
  const advice = isDead ? '; a dead one goes with `abfs unmount --lazy DIRECTORY`' : ''
  return warned(`${names.join('; ')}${advice}`)
}

const wellStates: ReadonlySet<DriveStateName> = new Set(['serving', 'detached', 'restarting'])

function isRoot(): boolean {
  return process.geteuid?.() === 0
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function ok(detail: string): Omit<Finding, 'name'> {
  return { verdict: 'ok', detail }
}

function warned(detail: string): Omit<Finding, 'name'> {
  return { verdict: 'warned', detail }
}

function failed(detail: string): Omit<Finding, 'name'> {
  return { verdict: 'failed', detail }
}
