import type { Command } from 'commander'
import type { CliContext } from './context.ts'

/** Adds one command to the program. */
type DefineCommand = (program: Command, context: CliContext) => void

/** Commands that help shows together. */
interface CommandGroup {
  readonly heading: string
  /** By the names of commands, what loads them. */
  readonly commands: Readonly<Record<string, () => Promise<DefineCommand>>>
}

/** A group whose commands are loaded. */
interface LoadedGroup {
  readonly heading: string
  readonly defines: readonly DefineCommand[]
}

/** All commands, in the order of help. */
const commandGroups: readonly CommandGroup[] = [
  {
    heading: 'Files:',
    commands: {
      ls: async () => (await import('./commands/ls.ts')).defineLs,
      tree: async () => (await import('./commands/tree.ts')).defineTree,
      changes: async () => (await import('./commands/changes.ts')).defineChanges,
      stat: async () => (await import('./commands/stat.ts')).defineStat,
      cat: async () => (await import('./commands/cat.ts')).defineCat,
      cp: async () => (await import('./commands/cp.ts')).defineCp,
      mv: async () => (await import('./commands/mv.ts')).defineMv,
      sync: async () => (await import('./commands/sync.ts')).defineSync,
      mkdir: async () => (await import('./commands/mkdir.ts')).defineMkdir,
      rm: async () => (await import('./commands/rm.ts')).defineRm,
      acl: async () => (await import('./commands/acl.ts')).defineAcl,
      recover: async () => (await import('./commands/recover.ts')).defineRecover,
    },
  },
  {
    heading: 'Drive:',
    commands: {
      mount: async () => (await import('./commands/mount.ts')).defineMount,
      unmount: async () => (await import('./commands/unmount.ts')).defineUnmount,
      status: async () => (await import('./commands/status.ts')).defineStatus,
      stats: async () => (await import('./commands/stats.ts')).defineStats,
      doctor: async () => (await import('./commands/doctor.ts')).defineDoctor,
      warm: async () => (await import('./commands/warm.ts')).defineWarm,
      evict: async () => (await import('./commands/evict.ts')).defineEvict,
      pin: async () => (await import('./commands/warm.ts')).definePin,
      unpin: async () => (await import('./commands/unpin.ts')).defineUnpin,
    },
  },
  {
    heading: 'Credentials for other programs:',
    commands: {
      exec: async () => (await import('./commands/exec.ts')).defineExec,
      agent: async () => (await import('./commands/agent.ts')).defineAgent,
      credential: async () => (await import('./commands/credential.ts')).defineCredential,
    },
  },
  {
    heading: 'Services:',
    commands: {
      connector: async () => (await import('./commands/connector.ts')).defineConnector,
      sandbox: async () => (await import('./commands/sandbox.ts')).defineSandbox,
      artifact: async () => (await import('./commands/artifact.ts')).defineArtifact,
    },
  },
]

/** What adds those of `commands` that `argv` names; all of them where it names none, as help shows all. */
export function loadCommands(argv: readonly string[]): Promise<readonly LoadedGroup[]> {
  const [, , name = ''] = argv
  const isNamed = commandGroups.some(({ commands }) => Object.hasOwn(commands, name))
  return Promise.all(
    commandGroups.map(async ({ heading, commands }) => {
      const wanted = Object.keys(commands).filter((other) => !isNamed || other === name)
      const loads = wanted.map((other) => commands[other]?.())
      const defines = await Promise.all(loads)
      return { heading, defines: defines.filter((define) => define !== undefined) }
    }),
  )
}
