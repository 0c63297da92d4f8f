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

/** `TypeError` unless `options` is an object; `name` is the argument's. */
export function expectOptions(options: unknown, wanted: string, name = 'options'): void {
  if (typeof options === 'object' && options !== null && !Array.isArray(options)) return
  throw new TypeError(`${name}: expected ${wanted}, got ${shown(options)}`)
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

/** `TypeError` unless `value` is an object whose values are texts, or `undefined`; a text would be taken for its letters. */
export function expectTexts(option: string, value: unknown): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${option}: expected an object of texts, got ${shown(value)}`)
  }
  for (const [name, text] of Object.entries(value)) {
    if (text === undefined || typeof text === 'string') continue
    throw new TypeError(`${option}: expected a text as '${name}', got ${shown(text)}`)
  }
}

/** `TypeError` unless `former` names a state that a file was in: without one the file itself would be meant. */
export function expectFormer(former: unknown): void {
  const { versionId, snapshot }: { versionId?: unknown; snapshot?: unknown } = Object(former)
  const [one, other] = [versionId, snapshot].filter((id) => id !== undefined)
  if (typeof one === 'string' && one !== '' && other === undefined) return
  throw new TypeError('former: expected { versionId } or { snapshot }, as listVersions tells them')
}

/** `TypeError` unless `value` is a list. */
export function expectList(option: string, value: unknown, things: string): void {
  if (Array.isArray(value)) return
  throw new TypeError(`${option}: expected a list of ${things}, got ${shown(value)}`)
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

/** What every call may be given beside its arguments. */
interface Call {
  readonly signal?: unknown
}

/**
 * Before a call does anything: `TypeError` with `code` `EINVAL` when `options` is no object, or its `signal` no `AbortSignal`;
 * the signal's reason when that is aborted.
 */
export function expectCall(options: Call | undefined): void {
  expectSignal(options)
  const signal = options?.signal
  if (isSignal(signal)) signal.throwIfAborted()
}

/** The same for calls that give a stream or a generator, which itself tells that it is aborted. */
export function expectSignal(options: Call | undefined): void {
  if (options === undefined) return
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw mistaken(`options: expected an object such as { signal }, got ${shown(options)}`)
  }
  const { signal } = options
  if (signal === undefined || isSignal(signal)) return
  throw mistaken(`signal: expected an AbortSignal, got ${shown(signal)}; ${remedyFor(signal)}`)
}

/** By its class: Node's own, which listens and joins, takes no other. */
function isSignal(value: unknown): value is AbortSignal {
  return value instanceof AbortSignal
}

function remedyFor(value: unknown): string {
  const isController = value instanceof AbortController
  if (isController) return "give the AbortController's `signal`"
  return 'give the `signal` of an AbortController or AbortSignal.timeout(ms), or leave it out'
}

function mistaken(message: string): TypeError {
  return Object.assign(new TypeError(message), { code: 'EINVAL' })
}
