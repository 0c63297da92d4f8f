import type { CommandGroup } from './command-group.ts'
import { fileCommands } from './file-commands.ts'

/** All commands, in the order of help. */
export const commandGroups: readonly CommandGroup[] = [
  fileCommands,
  {
    heading: 'Drive:',
    commands: {
      mount: async () => (await import('./commands/mount.ts')).defineMount,
      unmount: async () => (await import('./commands/unmount.ts')).defineUnmount,
      restart: async () => (await import('./commands/restart.ts')).defineRestart,
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
