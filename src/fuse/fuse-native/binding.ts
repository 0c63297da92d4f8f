import { FileSystemError } from '../../errors.ts'

/** Answers one call: 0, a count, or a negative errno; then what the call gives. */
export type Answer = (code: number, ...values: readonly unknown[]) => void

/** Calls by name, as fuse-native makes them: a path, arguments, and the answer last. */
export type Handlers = Readonly<Record<string, (...values: never[]) => void>>

/** One mount of fuse-native. */
export interface Fuse {
  mount(done: (error: Error | null | undefined) => void): void
  unmount(done: (error: Error | null | undefined) => void): void
}

/** The class that the package exports. */
export type FuseClass = new (
  mountpoint: string,
  handlers: Handlers,
  options: Readonly<Record<string, unknown>>,
) => Fuse

/** Loads the package, which is installed for those who ask for it. `ENOTSUP` says what to install. */
export async function loadFuseNative(): Promise<FuseClass> {
  try {
    // Not a literal: nobody needs the package to build or type-check.
    const name: string = 'fuse-native'
    const { default: loaded } = (await import(name)) as { readonly default: unknown }
    if (typeof loaded === 'function') return loaded as FuseClass
    throw new TypeError('fuse-native exports no class')
  } catch (error) {
    throw missing(error)
  }
}

function missing(cause: unknown): FileSystemError {
  const detail =
    'the driver fuse-native does not load: `npm install fuse-native`, and install libfuse 2 ' +
    '(Debian, Ubuntu: apt install libfuse2) or macFUSE'
  return new FileSystemError('ENOTSUP', 'mount', { detail, cause })
}
