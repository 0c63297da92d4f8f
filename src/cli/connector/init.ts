import { writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { generateCallerKey } from '../../connector/authenticate.ts'
import { generateRingLine } from '../../connector/state/seal.ts'
import { FileSystemError } from '../../errors.ts'
import { makeDirectories } from '../../make-directories.ts'
import type { CliContext } from '../context.ts'

/** Writes a configuration, a ring of sealing keys and an administrator's key; replaces nothing. */
export async function initConnector(directory: string, { stdout }: CliContext): Promise<void> {
  const root = resolve(directory)
  await makeDirectories(root, 0o700)
  const operator = generateCallerKey()
  const created = new Date().toISOString().slice(0, 10).replaceAll('-', '')
  await writeNew(join(root, 'sealing.keys'), generateRingLine(`k${created}`))
  await writeNew(join(root, 'operator.key'), `${operator.key}\n`)
  await writeNew(join(root, 'connector.yaml'), configuration(root, operator.keySha256))
  await stdout.line(`${join(root, 'connector.yaml')}: the configuration; start it with
  abfs connector serve --config ${join(root, 'connector.yaml')}
${join(root, 'operator.key')}: the administrator's key; keep it
${join(root, 'sealing.keys')}: seals the secrets in ${join(root, 'state')}; without it they are lost`)
}

async function writeNew(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { mode: 0o600, flag: 'wx' })
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'EEXIST')) throw cause
    throw thereAlready(path, cause)
  }
}

function thereAlready(path: string, cause: unknown): FileSystemError {
  const detail = 'is there already, and nothing is replaced: name another directory'
  return new FileSystemError('EEXIST', 'connector.init', { path, detail, cause })
}

function configuration(root: string, keySha256: string): string {
  return `# A service connector: what it is told here, its API cannot change.
listen: { host: 127.0.0.1, port: 8471 }
state:
  directory: ${JSON.stringify(join(root, 'state'))}
  sealingKeysFile: ${JSON.stringify(join(root, 'sealing.keys'))}
callers:
  - { name: operator, admin: true, keySha256: ${keySha256} }
# Connectors that may lend the identity of this machine, by name:
allowImplicitIdentityFor: []
`
}
