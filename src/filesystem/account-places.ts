import type { CallOptions } from '../blob/store.ts'
import { expectCall } from '../expect-option.ts'
import type { BlobPath } from '../path.ts'
import { locate, locateFile, locateName, type PathInput } from './location.ts'

/**
 * What the calls of an account are about. Each begins here, with its path and its options, whose signal is looked at before
 * anything is done; see `expectCall`.
 */
export abstract class AccountPlaces {
  /** The account that all paths are in. */
  abstract get account(): string

  /** See `locate`. */
  protected place(path: PathInput, syscall: string, options?: CallOptions): BlobPath {
    expectCall(options)
    return locate(this.account, path, syscall)
  }

  /** See `locateFile`. */
  protected filePlace(path: PathInput, syscall: string, options?: CallOptions): BlobPath {
    expectCall(options)
    return locateFile(this.account, path, syscall)
  }

  /** See `locateName`. */
  protected namePlace(path: PathInput, syscall: string, options?: CallOptions): string {
    expectCall(options)
    return locateName(this.account, path, syscall)
  }

  /** Names as patterns and destinations have them. */
  protected names(
    paths: PathInput | readonly PathInput[],
    syscall: string,
    options?: CallOptions,
  ): string | string[] {
    expectCall(options)
    return mapNames(paths, (path) => locateName(this.account, path, syscall))
  }
}

/** Applies `toName` to one path or to each of a list. */
export function mapNames<T extends string | URL>(
  paths: T | readonly T[],
  toName: (path: T) => string,
): string | string[] {
  return isList(paths) ? paths.map(toName) : toName(paths)
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}
