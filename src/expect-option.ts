// What programs without types, and settings out of files, get wrong in options of constructors: told by the
// option's name, where it is given, not by what fails later.

/** `TypeError` unless `options` is an object. */
export function expectOptions(options: unknown, wanted: string): void {
  if (typeof options === 'object' && options !== null) return
  throw new TypeError(`options: expected ${wanted}, got ${String(options)}`)
}

/** `TypeError` unless `value` is a text that is not empty. */
export function expectText(option: string, value: unknown, wanted: string): void {
  if (typeof value === 'string' && value !== '') return
  throw new TypeError(`${option}: expected ${wanted}, got ${JSON.stringify(value) ?? 'undefined'}`)
}

/** `RangeError` unless `value` is a whole number of at least `least`; absent is fine. */
export function expectWhole(option: string, value: unknown, unit: string, least: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && Number(value) >= least)) return
  throw new RangeError(
    `${option}: expected ${unit}, an integer of ${least} or more, got ${String(value)}`,
  )
}

/** `RangeError` unless `value` is a length of time; `Infinity` is one, absent is fine. */
export function expectDuration(option: string, value: unknown): void {
  if (value === undefined || (typeof value === 'number' && value >= 0)) return
  throw new RangeError(`${option}: expected milliseconds, 0 or more, got ${String(value)}`)
}

/** `TypeError` unless `value` has the method that tells what it is. */
export function expectMethod(
  option: string,
  value: unknown,
  { method, wanted }: { readonly method: string; readonly wanted: string },
): void {
  const has = typeof value === 'object' && value !== null && method in value
  if (!has) throw new TypeError(`${option}: expected ${wanted}, got ${typeof value}`)
}
