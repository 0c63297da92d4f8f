// What programs without types, and settings out of files, get wrong in options of constructors: told by the
// option's name, where it is given, not by what fails later.

/** What a message may repeat of a value: of an object what it is, and never a text that can hold a secret. */
export function shown(value: unknown): string {
  if (typeof value === 'string') {
    return mayBeSecret.test(value) ? 'a text that may be secret' : JSON.stringify(value)
  }
  if (Array.isArray(value)) return 'a list'
  const isPlain = value === null || !['object', 'function'].includes(typeof value)
  return isPlain ? String(value) : `a ${typeof value}`
}

/** Signatures, connection strings, URLs with a password, and what is as long as a key. */
const mayBeSecret = /sig=|AccountKey=|SharedAccessSignature=|:\/\/[^/@]*:[^/@]*@|[\w+/=.-]{40}/i

/** `TypeError` unless `options` is an object. */
export function expectOptions(options: unknown, wanted: string): void {
  if (typeof options === 'object' && options !== null) return
  throw new TypeError(`options: expected ${wanted}, got ${shown(options)}`)
}

/** `TypeError` unless `value` is a function. */
export function expectFunction(option: string, value: unknown, wanted: string): void {
  if (typeof value === 'function') return
  throw new TypeError(`${option}: expected ${wanted}, got ${shown(value)}`)
}

/** `TypeError` unless `value` is a text that is not empty. */
export function expectText(option: string, value: unknown, wanted: string): void {
  if (typeof value === 'string' && value !== '') return
  throw new TypeError(`${option}: expected ${wanted}, got ${shown(value)}`)
}

/** `RangeError` unless `value` is a whole number of at least `least`; absent is fine. */
export function expectWhole(option: string, value: unknown, unit: string, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && Number(value) >= least)) return
  throw new RangeError(
    `${option}: expected ${unit}, an integer of ${least} or more, got ${shown(value)}`,
  )
}

/** `RangeError` unless `value` is a length of time; `Infinity` is one, absent is fine. */
export function expectDuration(option: string, value: unknown): void {
  if (value === undefined || (typeof value === 'number' && value >= 0)) return
  throw new RangeError(`${option}: expected milliseconds, 0 or more, got ${shown(value)}`)
}

/** `TypeError` unless `value` has the method that tells what it is. */
export function expectMethod(
  option: string,
  value: unknown,
  { method, wanted }: { readonly method: string; readonly wanted: string },
): void {
  const has =
    typeof value === 'object' && value !== null && typeof Reflect.get(value, method) === 'function'
  if (!has) throw new TypeError(`${option}: expected ${wanted}, got ${typeof value}`)
}
