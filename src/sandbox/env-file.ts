import { writePrivateFile } from './run-directory.ts'

/*
 * `NAME=value` lines that sh reads with `set -a; . FILE`, and Node's `--env-file`, python-dotenv and
 * systemd as they are. A value of harmless characters stands bare, so that a parser that knows no
 * quotes reads it too; any other stands between single quotes.
 */

const harmless = /^[A-Za-z0-9_@%+=:,./-]*$/
const variableName = /^[A-Za-z_][A-Za-z0-9_]*$/

/**
 * Writes variables to a file of mode 0600; readers see the old file or the whole new one. A value
 * with a single quote or a line break is a `RangeError`: the readers disagree on how to write those.
 */
export async function writeEnvFile(
  path: string,
  variables: Readonly<Record<string, string>>,
): Promise<void> {
  await writePrivateFile(path, formatEnvFile(variables))
}

/** The text of an environment file, in the order of `variables`. */
export function formatEnvFile(variables: Readonly<Record<string, string>>): string {
  return Object.entries(variables)
    .map(([name, value]) => `${checkName(name)}=${quote(name, value)}\n`)
    .join('')
}

function quote(name: string, value: string): string {
  if (harmless.test(value)) return value
  if (/['\r\n\0]/.test(value)) {
    throw new RangeError(
      `The value of ${name} has a quote or a line break, which an environment file cannot hold; choose another value`,
    )
  }
  return `'${value}'`
}

function checkName(name: string): string {
  if (variableName.test(name)) return name
  throw new RangeError(
    `'${name}' is not a variable name: expected letters, digits and _, not starting with a digit`,
  )
}
