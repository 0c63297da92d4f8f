/**
 * Writes the API reference from the docstrings: `node script/api-reference.mjs DIRECTORY`. With `--check`
 * it writes nothing and exits with 1 when something public has no docstring.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const entries = [
  { name: 'abfs', file: 'src/index.ts', page: 'abfs.md' },
  { name: 'abfs/connector', file: 'src/connector/index.ts', page: 'connector.md' },
  { name: 'abfs/conformance', file: 'src/conformance/index.ts', page: 'conformance.md' },
].filter(({ file }) => ts.sys.fileExists(join(root, file)))

const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
const program = ts.createProgram(
  entries.map(({ file }) => join(root, file)),
  options,
)
const checker = program.getTypeChecker()
const flags = ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.WriteArrayAsGenericType

/** Classes that stand for another: what they do not explain is explained there. */
const standsFor = {
  DirFileSystem: 'AzureBlobFileSystem',
  NodeFileSystem: 'node:fs/promises',
  NodeStats: "node:fs's Stats",
  NodeDirent: "node:fs's Dirent",
}

/** Names of what is public and has no docstring. */
const bare = []

function docOf(symbol) {
  const text = ts.displayPartsToString(symbol.getDocumentationComment(checker))
  return text.replace(/\{@link ([^}]+)\}/g, '`$1`').trim()
}

function declarationsOf(symbol) {
  return symbol.getDeclarations() ?? []
}

function isHidden(symbol) {
  const [declaration] = declarationsOf(symbol)
  if (declaration === undefined || symbol.name.startsWith('#')) return true
  if (program.isSourceFileDefaultLibrary(declaration.getSourceFile())) return true
  if (declaration.getSourceFile().fileName.includes('/node_modules/')) return true
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected
  return (ts.getCombinedModifierFlags(declaration) & hidden) !== 0
}

function signaturesOf(symbol, declaration) {
  const type = checker.getTypeOfSymbolAtLocation(symbol, declaration)
  return type
    .getCallSignatures()
    .map(
      (signature) =>
        `${symbolName(symbol)}${checker.signatureToString(signature, declaration, flags)}`,
    )
}

/** Computed names, such as `[Symbol.asyncDispose]`. */
function symbolName(symbol) {
  const match = /^__@(\w+)@/.exec(symbol.name)
  return match === null ? symbol.name : `[Symbol.${match[1]}]`
}

function code(lines) {
  return ['```ts', ...lines, '```'].join('\n')
}

function memberLines(symbol, owner, depth) {
  const [declaration] = declarationsOf(symbol)
  const name = symbolName(symbol)
  const doc = docOf(symbol) || (owner in standsFor ? `As \`${standsFor[owner]}\`'s.` : '')
  const isMethod =
    signaturesOf(symbol, declaration).length > 0 && (symbol.flags & ts.SymbolFlags.Method) !== 0
  if (isMethod) {
    if (doc === '' && !name.startsWith('[')) bare.push(`${owner}.${name}`)
    return [`${depth} ${owner}.${name}`, '', code(signaturesOf(symbol, declaration)), '', doc, '']
  }
  const type = checker.getTypeOfSymbolAtLocation(symbol, declaration)
  const optional = (symbol.flags & ts.SymbolFlags.Optional) !== 0 ? '?' : ''
  const text = checker.typeToString(type, declaration, flags).replaceAll('|', '\\|')
  return [
    `- \`${name}${optional}: ${text.replaceAll('\\|', '|')}\`${doc === '' ? '' : `: ${doc.replaceAll('\n', '\n  ')}`}`,
  ]
}

function membersOf(type) {
  return checker.getPropertiesOfType(type).filter((symbol) => !isHidden(symbol))
}

function typeLines(symbol) {
  const type = checker.getDeclaredTypeOfSymbol(symbol)
  const properties = []
  const methods = []
  for (const member of membersOf(type)) {
    const lines = memberLines(member, symbol.name, '###')
    if (lines.length > 1) methods.push(...lines)
    else properties.push(...lines)
  }
  return [...properties, ...(properties.length > 0 ? [''] : []), ...methods]
}

function constructorLines(symbol) {
  const [declaration] = declarationsOf(symbol)
  const type = checker.getTypeOfSymbolAtLocation(symbol, declaration)
  const isPublic = declaration.members.every(
    (member) =>
      !ts.isConstructorDeclaration(member) ||
      (ts.getCombinedModifierFlags(member) &
        (ts.ModifierFlags.Private | ts.ModifierFlags.Protected)) ===
        0,
  )
  const made = isPublic
    ? type
        .getConstructSignatures()
        .map((each) => `new ${symbol.name}${checker.signatureToString(each, declaration, flags)}`)
    : []
  const statics = checker
    .getPropertiesOfType(type)
    .filter((member) => member.name !== 'prototype' && !isHidden(member))
    .flatMap((member) => memberLines(member, symbol.name, '###'))
  return [...(made.length > 0 ? [code(made), ''] : []), ...statics]
}

function exportLines(exported) {
  const symbol =
    (exported.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(exported) : exported
  const [declaration] = declarationsOf(symbol)
  const doc = docOf(symbol)
  if (doc === '' && !ts.isInterfaceDeclaration(declaration)) bare.push(exported.name)
  const lines = [`## ${exported.name}`, '', ...(doc === '' ? [] : [doc, ''])]
  if (ts.isClassDeclaration(declaration))
    return [...lines, ...constructorLines(symbol), ...typeLines(symbol)]
  if (ts.isInterfaceDeclaration(declaration)) return [...lines, ...typeLines(symbol)]
  if (ts.isTypeAliasDeclaration(declaration)) {
    return [...lines, code([declaration.getText().replace(/^export /, '')]), '']
  }
  const signatures = signaturesOf(symbol, declaration)
  if (signatures.length > 0) return [...lines, code(signatures), '']
  const type = checker.getTypeOfSymbolAtLocation(symbol, declaration)
  return [...lines, code([`${symbol.name}: ${checker.typeToString(type, declaration, flags)}`]), '']
}

function pageOf({ name, file }) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(join(root, file)))
  const exports = checker.getExportsOfModule(module).sort((a, b) => (a.name < b.name ? -1 : 1))
  const body = exports.flatMap((symbol) => exportLines(symbol))
  return [`# ${name}`, '', 'Made from the docstrings by `npm run docs`.', '', ...body].join('\n')
}

const pages = entries.map((entry) => ({ ...entry, text: `${pageOf(entry).trimEnd()}\n` }))
const [target] = process.argv.slice(2)
if (target === '--check') {
  for (const name of bare) process.stdout.write(`no docstring: ${name}\n`)
  process.exitCode = bare.length > 0 ? 1 : 0
} else if (target === undefined) {
  process.stderr.write('usage: node script/api-reference.mjs DIRECTORY | --check\n')
  process.exitCode = 2
} else {
  mkdirSync(target, { recursive: true })
  for (const { page, text } of pages) writeFileSync(join(target, page), text)
}
