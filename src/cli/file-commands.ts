import type { CommandGroup } from './command-group.ts'

/** The commands on files, which begin from `dist/quick` (`quick-start.ts`). */
export const fileCommands: CommandGroup = {
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
}
