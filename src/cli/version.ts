import { readFileSync, writeSync } from 'node:fs'

/** The version of this package. */
export function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** Prints it; a reader that is gone is none of our business. */
export function printVersion(): void {
  try {
    writeSync(1, `${packageVersion()}\n`)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPIPE')) throw error
  }
}
