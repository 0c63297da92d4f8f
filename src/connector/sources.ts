import { readFile } from 'node:fs/promises'

/** Where a connector reads what its configuration names. */
export interface ConnectorSources {
  /** The text of a file; rejects as `fs.readFile` does. */
  readFile(file: string): Promise<string>
  /** The value of an environment variable; `undefined` when it is not set. */
  env(name: string): string | undefined
}

/** Reads files from disk and variables from `environment`. */
export function diskSources(
  environment: Readonly<Record<string, string | undefined>> = {},
): ConnectorSources {
  return { readFile: (file) => readFile(file, 'utf8'), env: (name) => environment[name] }
}
