import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Test } from 'tap'
import { type CliResult, runAbfs, temporaryDirectory, type Variables } from './cli.ts'

/** What a run of `abfs` imported: URLs of files, and names of Node's own modules. */
export interface LoadingResult extends CliResult {
  readonly modules: readonly string[]
}

// What the command imports, and what that imports: the test's runner has modules of its own in every process.
const hooks = `
import { appendFileSync } from 'node:fs'
let file
const ours = new Set()
export function initialize(data) { file = data }
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context)
  if (ours.has(context.parentURL) || found.url.endsWith('/dist/cli/main.js')) {
    ours.add(found.url)
    appendFileSync(file, found.url + '\\n')
  }
  return found
}`

// What commands on files begin with are scripts, and what those require (`src/cli/quick-start.ts`).
const scripts = `
import { appendFileSync } from 'node:fs'
import Module, { syncBuiltinESMExports } from 'node:module'
import { pathToFileURL } from 'node:url'
import vm from 'node:vm'
const note = (file, name) => appendFileSync(file, name + '\\n')
export function watch(file) {
  const { Script } = vm
  vm.Script = class extends Script {
    constructor(text, options) {
      super(text, options)
      note(file, pathToFileURL(options.filename).href)
    }
  }
  syncBuiltinESMExports()
  const load = Module._load
  Module._load = function (name, parent, ...others) {
    if (parent?.filename?.includes('/dist/')) {
      const found = Module._resolveFilename(name, parent)
      note(file, found.startsWith('/') ? pathToFileURL(found).href : found)
    }
    return load.call(this, name, parent, ...others)
  }
}`

/** Runs the built `abfs` to its end and tells what it imported. */
export async function runLoading(
  t: Test,
  argv: readonly string[],
  env: Variables = {},
): Promise<LoadingResult> {
  const directory = await temporaryDirectory(t)
  const [list, hook] = ['list', 'hook.mjs'].map((name) => join(directory, name)) as [string, string]
  const register = `register(${JSON.stringify(dataUrl(hooks))}, { data: ${JSON.stringify(list)} })`
  const watching = `import { watch } from ${JSON.stringify(dataUrl(scripts))}\nwatch(${JSON.stringify(list)})`
  await writeFile(hook, `import { register } from 'node:module'\n${register}\n${watching}\n`)
  await writeFile(list, '')
  const NODE_OPTIONS = `--import=${pathToFileURL(hook).href}`
  const result = await runAbfs(argv, { env: { ...env, NODE_OPTIONS } })
  const lines = (await readFile(list, 'utf8')).split('\n').filter(Boolean)
  return {
    ...result,
    modules: [...new Set(lines)].filter((module) => !module.endsWith('hook.mjs')),
  }
}

const dataUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`
