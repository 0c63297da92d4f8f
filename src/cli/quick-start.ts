/**
 * How a command on files begins. `script/bundle.mjs` joins them a second time, to `dist/quick`, as scripts that V8 has compiled
 * already (its code cache): it takes neither Node's loader of ES modules nor most of compiling. A cache is of one version of
 * Node, and V8 refuses one that it cannot use; the scripts are compiled then.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Script } from 'node:vm'

/** The names in `file-commands.ts`, which is loaded by who runs one. */
export const quickCommands: ReadonlySet<string> = new Set([
  'ls',
  'tree',
  'changes',
  'stat',
  'cat',
  'cp',
  'mv',
  'sync',
  'mkdir',
  'rm',
  'acl',
  'recover',
])

interface Program {
  runMain(): Promise<number>
}

const begin = 'run-files.js'
const directory = fileURLToPath(new URL('../quick/', import.meta.url))

/** What runs `command`; `undefined` where it is no command on files, or nothing was joined. */
export function quickProgram(command: string): Program | undefined {
  if (!quickCommands.has(command) || !existsSync(join(directory, begin))) return undefined
  return quickLoader(directory)(begin)
}

/** Loads scripts of `directory`, each once. A script is a function of what CommonJS gives its modules, and of `import()`. */
function quickLoader(directory: string) {
  const requireOther = createRequire(directory)
  const importModule = (name: string) => import(name)
  const caches = join(directory, `${process.version}-${process.arch}`)
  const loaded = new Map<string, Pick<NodeJS.Module, 'exports'>>()
  const requireAny = (name: string) =>
    name.startsWith('./') ? load(basename(name)) : requireOther(name)
  const load = (name: string) => {
    const known = loaded.get(name)
    if (known !== undefined) return known.exports
    const module: Pick<NodeJS.Module, 'exports'> = { exports: {} }
    loaded.set(name, module)
    const filename = join(directory, name)
    const cachedData = contentOf(join(caches, name))
    const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData })
    script.runInThisContext()(module.exports, requireAny, module, filename, importModule)
    return module.exports
  }
  return load
}

function contentOf(file: string): Buffer | undefined {
  return existsSync(file) ? readFileSync(file) : undefined
}
