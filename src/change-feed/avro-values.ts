import type { AvroBytes } from './avro-bytes.ts'
import { damaged } from './damage.ts'

/** Reads one value. */
export type ReadValue = (bytes: AvroBytes) => unknown

interface NamedSchema {
  readonly type: string
  readonly name?: unknown
  readonly namespace?: unknown
  readonly fields?: unknown
  readonly symbols?: unknown
  readonly items?: unknown
  readonly values?: unknown
  readonly size?: unknown
}

/** Makes what reads values of a schema, which comes from the file itself. */
export function readerOf(schema: unknown): ReadValue {
  return new Compiler().compile(schema, '')
}

const primitives: Readonly<Record<string, ReadValue>> = {
  null: () => null,
  boolean: (bytes) => bytes.boolean(),
  int: (bytes) => bytes.long(),
  long: (bytes) => bytes.long(),
  float: (bytes) => bytes.float(),
  double: (bytes) => bytes.double(),
  bytes: (bytes) => bytes.take(bytes.long()),
  string: (bytes) => bytes.string(),
}

class Compiler {
  readonly #named = new Map<string, ReadValue>()

  compile(schema: unknown, space: string): ReadValue {
    if (typeof schema === 'string') return this.#byName(schema, space)
    if (Array.isArray(schema)) return this.#union(schema, space)
    if (!isSchema(schema)) throw damaged('a schema that is none')
    switch (schema.type) {
      case 'record':
      case 'error':
        return this.#record(schema, space)
      case 'enum':
        return this.#enum(schema, space)
      case 'fixed':
        return this.#fixed(schema, space)
      case 'array':
        return arrayOf(this.compile(schema.items, space))
      case 'map':
        return mapOf(this.compile(schema.values, space))
      default:
        return this.#byName(schema.type, space)
    }
  }

  /** A type may be used within itself, before it is made. */
  #byName(name: string, space: string): ReadValue {
    const primitive = Object.hasOwn(primitives, name) ? primitives[name] : undefined
    if (primitive !== undefined) return primitive
    const named = this.#named
    const full = name.includes('.') || space === '' ? name : `${space}.${name}`
    const known = named.has(full) ? full : name
    if (!named.has(known)) throw damaged(`a schema that uses '${name}', which it does not define`)
    return (bytes) => named.get(known)?.(bytes)
  }

  #union(branches: readonly unknown[], space: string): ReadValue {
    const readers = branches.map((branch) => this.compile(branch, space))
    return (bytes) => {
      const read = readers[bytes.long()]
      if (read === undefined) throw damaged('a branch that its union does not have')
      return deeper(bytes, read)
    }
  }

  #record(schema: NamedSchema, outer: string): ReadValue {
    const { full, space } = nameOf(schema, outer)
    this.#define(full, () => undefined)
    const fields = listOf(schema.fields).map((field) => {
      if (!isField(field)) throw damaged('a record whose fields have no names')
      return [field.name, this.compile(field.type, space)] as const
    })
    return this.#define(full, (bytes) =>
      deeper(bytes, () => Object.fromEntries(fields.map(([name, read]) => [name, read(bytes)]))),
    )
  }

  #enum(schema: NamedSchema, outer: string): ReadValue {
    const symbols = listOf(schema.symbols)
    return this.#define(nameOf(schema, outer).full, (bytes) => {
      const symbol = symbols[bytes.long()]
      if (typeof symbol !== 'string') throw damaged('a symbol that its enum does not have')
      return symbol
    })
  }

  #fixed(schema: NamedSchema, outer: string): ReadValue {
    const size = Number(schema.size)
    return this.#define(nameOf(schema, outer).full, (bytes) => bytes.take(size))
  }

  #define(name: string, read: ReadValue): ReadValue {
    this.#named.set(name, read)
    return read
  }
}

function arrayOf(read: ReadValue): ReadValue {
  return (bytes) =>
    deeper(bytes, () => {
      const items: unknown[] = []
      eachItem(bytes, () => items.push(read(bytes)))
      return items
    })
}

function mapOf(read: ReadValue): ReadValue {
  return (bytes) =>
    deeper(bytes, () => {
      const entries: [string, unknown][] = []
      eachItem(bytes, () => entries.push([bytes.string(), read(bytes)]))
      return Object.fromEntries(entries)
    })
}

/** Items come in blocks; a negative count has the block's length in bytes behind it. */
function eachItem(bytes: AvroBytes, readItem: () => unknown): void {
  let read = 0
  for (let count = bytes.long(); count !== 0; count = bytes.long()) {
    if (count < 0) bytes.long()
    read += Math.abs(count)
    if (read > maxItems) throw damaged(`more than ${maxItems} items in one value`)
    for (let left = Math.abs(count); left > 0; left -= 1) readItem()
  }
}

/** What a damaged file says must not fill the stack. */
function deeper(bytes: AvroBytes, read: ReadValue): unknown {
  if (bytes.depth >= maxDepth) throw damaged(`values within each other, more than ${maxDepth}`)
  bytes.depth += 1
  const value = read(bytes)
  bytes.depth -= 1
  return value
}

const maxDepth = 64
const maxItems = 100_000

function nameOf(schema: NamedSchema, outer: string): { full: string; space: string } {
  const { name, namespace } = schema
  if (typeof name !== 'string') throw damaged('a type without a name')
  if (name.includes('.')) return { full: name, space: name.slice(0, name.lastIndexOf('.')) }
  const space = typeof namespace === 'string' ? namespace : outer
  return { full: space === '' ? name : `${space}.${name}`, space }
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw damaged('a schema without its parts')
}

function isSchema(value: unknown): value is NamedSchema {
  return (
    typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
  )
}

function isField(value: unknown): value is { name: string; type: unknown } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    typeof value.name === 'string' &&
    'type' in value
  )
}
