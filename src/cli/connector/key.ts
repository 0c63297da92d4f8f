import { writeFile } from 'node:fs/promises'
import { generateCallerKey } from '../../connector/authenticate.ts'
import type { CliContext } from '../context.ts'

/** Writes a new key to `file`, for its owner alone, and prints the hash that the connector knows. */
export async function makeKey(file: string, { stdout }: CliContext): Promise<void> {
  const { key, keySha256 } = generateCallerKey()
  await writeFile(file, `${key}\n`, { mode: 0o600, flag: 'wx' })
  await stdout.line(`keySha256: ${keySha256}`)
}
