// Joins what the commands consist of into few files, in place: node script/bundle.mjs, after tsc.
// Node looks up, reads and links each module by itself: 340 of them took `abfs ls` half a second.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { setFlagsFromString } from 'node:v8'
import { Script } from 'node:vm'
import { rolldown } from 'rolldown'

const dist = fileURLToPath(new URL('../dist', import.meta.url))
const chunks = 'chunks'
const quick = 'quick'
const commands = ['main', 'docker-credential', 'mount-helper']
/** Packages that every command needs; all others are loaded from node_modules by those that need them. */
const joined = ['commander', 'lru-cache', 'zod']

/**
 * What is loaded together is one file with all that it imports, as each file takes a millisecond: all commands, which help
 * shows; what reaches an account and its names, by way of a connector too; what files are read and written with. The version stays apart: nothing else is needed to tell it.
 */
const together = [
  { name: 'version', test: /[\\/]dist[\\/]cli[\\/]version\.js$/, priority: 3 },
  {
    name: 'commands',
    test: /[\\/]dist[\\/]cli[\\/](run-(main|files|commands)|commands[\\/].*)\.js$|rolldown[\\/]runtime\.js$/,
    priority: 2,
  },
  {
    name: 'account',
    test: /[\\/]dist[\\/](cli[\\/]compose|config|http[\\/]socket-handler|connector[\\/](client|asking))\.js$/,
    priority: 1,
  },
  { name: 'content', test: /[\\/]dist[\\/]cli[\\/]compose-file-system\.js$/ },
]

/** What is loaded when it is needed may have been joined with what needs it at once: that is meant. */
const checks = { ineffectiveDynamicImport: false }

/**
 * A module that finds files beside itself still does. Commands and chunks lie at the same depth, so one
 * relative path serves wherever the module ends up. A command finds others beside itself as it is.
 */
const keepPlaces = {
  name: 'keep-places',
  transform(code, id) {
    if (!code.includes('import.meta.url') || !id.startsWith(dist)) return undefined
    const place = relative(dist, id)
    if (commands.some((command) => place === join('cli', `${command}.js`))) return undefined
    const url = `new URL(${JSON.stringify(`../${place}`)}, import.meta.url).href`
    return code.replaceAll('import.meta.url', url)
  },
}

/** A chunk that does nothing but give some of another chunk's names: `import{a as x}from"./other.js";export{x};`. */
const facade = /^import\{([^}]*)\}from"\.\/([^"/]+)";export\{([^}]*)\};?\s*$/

/**
 * A module that is loaded when it is needed and was joined with others becomes such a chunk: a file more to find, read and
 * link. Whoever loads it loads the other one instead, and picks the names.
 */
const throughFacades = {
  name: 'through-facades',
  generateBundle(_options, output) {
    const found = Object.values(output)
      .map((chunk) => ({ chunk, match: facade.exec(chunk.code ?? '') }))
      .filter(({ match }) => match !== null)
    const targets = new Map(found.map(({ chunk, match }) => [basename(chunk.fileName), match]))
    for (const chunk of Object.values(output)) {
      chunk.code = chunk.code?.replace(
        /import\(`((?:\.\.?\/)+(?:chunks\/)?)([^`/]+)`\)/g,
        (whole, directory, name) =>
          targets.has(name) ? pickedFrom(directory, targets.get(name)) : whole,
      )
    }
    for (const { chunk } of found) delete output[chunk.fileName]
    const left = Object.values(output).find(({ code = '' }) =>
      [...targets.keys()].some((name) => code.includes(name)),
    )
    if (left !== undefined) throw new Error(`${left.fileName} still loads a chunk that was removed`)
  },
}

/**
 * V8 keeps a text that has one character beyond Latin-1 as two bytes a character, and takes longer to compile it. What is
 * beyond ASCII stands in strings and regular expressions alone, comments being gone.
 */
const asciiAlone = {
  name: 'ascii-alone',
  generateBundle(_options, output) {
    for (const chunk of Object.values(output)) {
      if (chunk.code?.includes('String.raw')) throw new Error(`${chunk.fileName}: String.raw`)
      chunk.code = chunk.code?.replace(
        /[\u0080-\uffff]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
      )
    }
  },
}

function pickedFrom(directory, [, imported, target, exported]) {
  const namesThere = new Map(
    imported.split(',').map((each) => {
      const [there, here = there] = each.split(' as ')
      return [here, there]
    }),
  )
  const picked = exported.split(',').map((each) => {
    const [here, name = here] = each.split(' as ')
    return `${name}:m.${namesThere.get(here)}`
  })
  return `import(\`${directory}${target}\`).then(m=>({${picked.join(',')}}))`
}

function isExternal(id) {
  const isPackage = !/^[./]/.test(id)
  return isPackage && !joined.includes(id)
}

/** What the licenses of joined packages ask for: their texts, beside the copies. */
function licensesOf(output) {
  const modules = output.flatMap(({ moduleIds = [] }) => moduleIds)
  const packages = new Set()
  for (const id of modules) {
    const found = /^.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/.exec(id)
    if (found !== null) packages.add(found[0])
  }
  return [...packages].sort().map(licenseOf).join('\n')
}

function licenseOf(directory) {
  const { name, version, license } = JSON.parse(
    readFileSync(join(directory, 'package.json'), 'utf8'),
  )
  const file = readdirSync(directory).find((entry) => /^licen[cs]e/i.test(entry))
  if (file === undefined) throw new Error(`${name} has no license file`)
  return `${name} ${version} (${license})\n\n${readFileSync(join(directory, file), 'utf8')}`
}

/**
 * A script is a function of what CommonJS gives its modules, and of `import()`, which a script has not: packages stay ES
 * modules where they are loaded so.
 */
const asScripts = {
  name: 'as-scripts',
  generateBundle(_options, output) {
    for (const chunk of Object.values(output)) {
      if (/\bimport\((?!`[^`]+`\))/.test(chunk.code)) throw new Error(`${chunk.fileName}: import()`)
      const body = chunk.code.replaceAll(/\bimport\(/g, 'importModule(')
      chunk.code = `(function(exports,require,module,__filename,importModule){${body}\n})`
    }
  },
}

/** Commands on files once more, as scripts, and what V8 makes of those that each of them loads (`src/cli/quick-start.ts`). */
async function joinQuick() {
  const directory = join(dist, quick)
  rmSync(directory, { recursive: true, force: true })
  const groups = together.filter(({ name }) => name !== 'version')
  const bundle = await rolldown({
    input: { 'run-files': join(dist, 'cli', 'run-files.js') },
    platform: 'node',
    external: isExternal,
    checks,
    plugins: [keepPlaces, asciiAlone, asScripts],
  })
  const { output } = await bundle.write({
    dir: directory,
    format: 'cjs',
    minify,
    entryFileNames: '[name].js',
    chunkFileNames: '[name]-[hash].js',
    codeSplitting: { groups },
  })
  await bundle.close()
  const caches = join(directory, `${process.version}-${process.arch}`)
  mkdirSync(caches)
  const names = groups.map(({ name }) => name)
  for (const { fileName, name } of output) {
    if (names.includes(name)) compile(join(directory, fileName), join(caches, fileName))
  }
  return output
}

/** All functions are compiled, not those alone that run at once; the flags are those of a run again when the cache is made. */
function compile(file, cache) {
  setFlagsFromString('--no-lazy')
  const script = new Script(readFileSync(file, 'latin1'), { filename: file })
  setFlagsFromString('--lazy')
  writeFileSync(cache, script.createCachedData())
}

const sources = commands.map((command) => join(dist, 'cli', `${command}.js`))
const missing = sources.find((source) => !existsSync(source))
if (missing !== undefined) throw new Error(`${missing} is missing: run tsc before`)
rmSync(join(dist, chunks), { recursive: true, force: true })
// Less text is compiled sooner. Names of functions and classes stay: a stack still tells.
const minify = {
  mangle: { toplevel: false, keepNames: true },
  compress: false,
  codegen: { removeWhitespace: true },
}
const quickOutput = await joinQuick()
const bundle = await rolldown({
  input: Object.fromEntries(commands.map((command, index) => [`cli/${command}`, sources[index]])),
  platform: 'node',
  external: isExternal,
  checks,
  plugins: [keepPlaces, throughFacades, asciiAlone],
})
const { output } = await bundle.write({
  dir: dist,
  format: 'esm',
  minify,
  entryFileNames: '[name].js',
  chunkFileNames: `${chunks}/[name]-[hash].js`,
  codeSplitting: { groups: together },
})
await bundle.close()
for (const source of sources) rmSync(`${source}.map`, { force: true })
writeFileSync(join(dist, chunks, 'LICENSES.txt'), licensesOf([...output, ...quickOutput]))
if (dirname(output[0].fileName) !== 'cli') throw new Error('the commands are not where they were')
