import { exitCodes } from '../exit-codes.ts'

/** What mount(8) asks of a helper. */
export interface HelperRequest {
  /** `-f`: nothing is to be done. */
  readonly isFake: boolean
  /** Arguments of `abfs`. */
  readonly argv: readonly string[]
  /** An option that is no mount's: one that would keep mount(8) waiting, or mount nothing. */
  readonly refused: string | undefined
  /** A command to run once the drive is there; empty for none. */
  readonly after: readonly string[]
}

/**
 * Reads what mount(8) gives a helper: `SOURCE DIRECTORY [-fnsvN] [-o OPTIONS] [-t TYPE]`. An option that is
 * neither mount(8)'s own nor libfuse's is a flag of `abfs mount`, written with or without dashes, before it
 * too, as blobfuse2's are: `attr_ttl=5` and `--attr-ttl=5` are `--attr-ttl=5`.
 */
export function helperRequest(argv: readonly string[]): HelperRequest {
  const places: string[] = []
  const options: string[] = []
  let isFake = false
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? ''
    if (/^-[nsv]*f[nsv]*$/.test(argument) || argument === '--fake') isFake = true
    else if (argument === '-o') options.push(...optionsIn(argv[++index] ?? ''))
    else if (argument === '-t' || argument === '-N') index += 1
    else if (!argument.startsWith('-')) places.push(argument)
  }
  const after = options.includes('noexec') ? withoutExecution(options, places[1] ?? '') : []
  const refused = options.find((option) => /^(foreground|plan|json|help)(=|$)/.test(option))
  return { isFake, argv: ['mount', ...options.flatMap(flagsOf), ...places], refused, after }
}

function optionsIn(list: string): string[] {
  return list.split(',').map((option) => option.replace(/^--/, ''))
}

/** `user` in fstab implies it. The other flags are those that a drive has always. */
function withoutExecution(options: readonly string[], directory: string): string[] {
  const ro = options.includes('ro') ? ',ro' : ''
  return ['mount', '-i', '-o', `remount,bind,nosuid,nodev,noexec${ro}`, directory]
}

/** What mount(8) wants to hear of an exit code of `abfs`: 1 usage, 8 interrupted, 32 not mounted. */
export function mountExitCode(code: string | number | null | undefined): number {
  if (code === undefined || code === null || code === exitCodes.ok) return 0
  if (code === exitCodes.usage) return 1
  return code === exitCodes.interrupted ? 8 : 32
}

function flagsOf(option: string): string[] {
  const [, name = '', value] = /^([^=]*)(?:=(.*))?$/s.exec(option) ?? []
  if (name === '' || forOthers.has(name) || /^(x-|X-|comment$)/.test(name)) return []
  if (name === 'ro') return ['--read-only']
  if (name === 'nonempty') return ['--non-empty']
  if (name === 'attr_timeout' || name === 'entry_timeout') return [`--attr-ttl=${value ?? ''}`]
  if (name === 'umask') return modesOf(value ?? '')
  const flag = `--${name.replaceAll('_', '-')}`
  return [value === undefined ? flag : `${flag}=${value}`]
}

/** A mask that is no number becomes a mode that is none, which `abfs mount` refuses. */
function modesOf(umask: string): string[] {
  const mask = Number.parseInt(umask, 8)
  const [file, directory] = [0o666 & ~mask, 0o777 & ~mask].map((mode) => mode.toString(8))
  if (/^[0-7]{1,4}$/.test(umask)) return [`--file-mode=${file}`, `--dir-mode=${directory}`]
  return [`--file-mode=umask ${umask}`]
}

/** What systemd, the kernel or mount(8) itself sees to, and what a drive of ours always is. */
const forOthers: ReadonlySet<string> = new Set([
  ...['defaults', 'auto', 'noauto', 'nofail', '_netdev', 'rw', 'async', 'delay_connect'],
  ...['user', 'users', 'nouser', 'owner', 'group', 'default_permissions'],
  ...[
    'dev',
    'nodev',
    'suid',
    'nosuid',
    'exec',
    'noexec',
    'atime',
    'noatime',
    'diratime',
    'nodiratime',
  ],
  ...['relatime', 'norelatime', 'strictatime', 'lazytime', 'silent', 'loud'],
])
