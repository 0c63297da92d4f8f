import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('./avro-files.py', import.meta.url))

/** Why fastavro, which writes and reads Avro independently of us, cannot be used; `false` when it can. */
export function whyNoFastavro(): string | false {
  try {
    execFileSync('python3', ['-c', 'import fastavro'], { stdio: 'ignore' })
    return false
  } catch {
    return 'needs the Python package fastavro (script/setup --tests installs it)'
  }
}

/** A file of `values`, in blocks of about 300 bytes. */
export function fastavroFile(
  directory: string,
  content: { readonly schema: unknown; readonly values: readonly unknown[] },
  codec: 'null' | 'deflate' = 'null',
): Buffer {
  const file = join(directory, `${codec}.avro`)
  execFileSync('python3', [program, 'write', file, codec], { input: JSON.stringify(content) })
  return readFileSync(file)
}

/** What fastavro reads of a file. */
export function readByFastavro(
  directory: string,
  bytes: Uint8Array,
): { readonly codec: string; readonly values: readonly Record<string, unknown>[] } {
  const file = join(directory, 'read.avro')
  writeFileSync(file, bytes)
  const output = execFileSync('python3', [program, 'read', file], { encoding: 'utf8' })
  return JSON.parse(output)
}
