import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** A public call that can be aborted. */
export interface AbortableCall {
  /** The class; empty for a function. */
  readonly owner: string
  readonly name: string
  /** The names of what is given before the options. */
  readonly parameters: readonly string[]
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What is exported from `abfs`, its classes' methods included, whose options have a `signal`: read from the types. */
export function abortableCalls(): AbortableCall[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram([join(root, 'src/index.ts')], options)
  const checker = program.getTypeChecker()
  const file = program.getSourceFile(join(root, 'src/index.ts'))
  const module = file && checker.getSymbolAtLocation(file)
  if (module === undefined) throw new Error('src/index.ts exports nothing')
  return checker.getExportsOfModule(module).flatMap((exported) => {
    const isAlias = (exported.flags & ts.SymbolFlags.Alias) !== 0
    const symbol = isAlias ? checker.getAliasedSymbol(exported) : exported
    if (symbol.flags & ts.SymbolFlags.Function) return callsOf(checker, '', symbol)
    if ((symbol.flags & ts.SymbolFlags.Class) === 0) return []
    const members = checker.getPropertiesOfType(checker.getDeclaredTypeOfSymbol(symbol))
    return members.filter(isPublic).flatMap((member) => callsOf(checker, symbol.name, member))
  })
}

/** The longest of each call's forms, and those whose options stand elsewhere. */
function callsOf(checker: ts.TypeChecker, owner: string, symbol: ts.Symbol): AbortableCall[] {
  const calls = new Map<number, AbortableCall>()
  for (const { parameters } of checker.getTypeOfSymbol(symbol).getCallSignatures()) {
    const at = parameters.findIndex((parameter) => hasSignal(checker, parameter))
    if (at === -1) continue
    const names = parameters.slice(0, at).map(({ name }) => name)
    calls.set(at, { owner, name: symbol.name, parameters: names })
  }
  return [...calls.values()]
}

function hasSignal(checker: ts.TypeChecker, parameter: ts.Symbol): boolean {
  const type = checker.getNonNullableType(checker.getTypeOfSymbol(parameter))
  return (type.isUnion() ? type.types : [type]).some((one) => {
    const isObject = (one.flags & (ts.TypeFlags.Object | ts.TypeFlags.Intersection)) !== 0
    const signal = isObject ? one.getProperty('signal') : undefined
    if (signal === undefined) return false
    return checker.typeToString(checker.getTypeOfSymbol(signal)).includes('AbortSignal')
  })
}

function isPublic(symbol: ts.Symbol): boolean {
  const [declaration] = symbol.getDeclarations() ?? []
  if (declaration === undefined || symbol.name.includes('#')) return false
  if (declaration.getSourceFile().fileName.includes('/node_modules/')) return false
  const hidden = ts.ModifierFlags.Private | ts.ModifierFlags.Protected
  return (ts.getCombinedModifierFlags(declaration) & hidden) === 0
}
