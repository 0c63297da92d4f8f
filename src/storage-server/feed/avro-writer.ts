/** Writes Avro's object container files, with `null` as the codec, as the service does. */

/** Pieces of a file, joined when it is written. */
export class AvroWriter {
  readonly #parts: Buffer[] = []

  /** Zigzag, of a safe integer. */
  long(value: number): this {
    let rest = value < 0 ? -2 * value - 1 : 2 * value
    const bytes: number[] = []
    for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80)
    this.#parts.push(Buffer.from([...bytes, rest]))
    return this
  }

  bytes(value: Uint8Array): this {
    return this.long(value.byteLength).raw(value)
  }

  string(value: string): this {
    return this.bytes(Buffer.from(value, 'utf8'))
  }

  raw(value: Uint8Array): this {
    this.#parts.push(Buffer.from(value))
    return this
  }

  /** Of a union whose first branch is null: the second one, or null. */
  optional<T>(value: T | undefined, write: (value: T) => void): this {
    this.long(value === undefined ? 0 : 1)
    if (value !== undefined) write(value)
    return this
  }

  map(entries: Readonly<Record<string, string>>): this {
    const pairs = Object.entries(entries)
    if (pairs.length > 0) this.long(pairs.length)
    for (const [key, value] of pairs) this.string(key).string(value)
    return this.long(0)
  }

  take(): Buffer {
    return Buffer.concat(this.#parts.splice(0))
  }
}

/** The beginning of a file; `sync` has 16 bytes. */
export function avroHeader(schema: unknown, sync: Uint8Array): Buffer {
  const facts = new AvroWriter().long(2)
  facts.string('avro.codec').string('null')
  facts.string('avro.schema').string(JSON.stringify(schema)).long(0)
  return Buffer.concat([Buffer.from('Obj\u0001', 'latin1'), facts.take(), sync])
}

/** One block of encoded values. */
export function avroBlock(values: readonly Uint8Array[], sync: Uint8Array): Buffer {
  const content = Buffer.concat(values)
  const head = new AvroWriter().long(values.length).long(content.byteLength).take()
  return Buffer.concat([head, content, sync])
}
