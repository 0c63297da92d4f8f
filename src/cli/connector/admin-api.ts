import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { systemClock } from '../../clock.ts'
import { checkEndpoint } from '../../connector/asking.ts'
import { generateCallerKey } from '../../connector/authenticate.ts'
import { parseConnectorConfig } from '../../connector/config.ts'
import { openConnector } from '../../connector/open-connector.ts'
import { parseProblem } from '../../connector/read-answer.ts'
import { diskSources } from '../../connector/sources.ts'
import { type ErrnoCode, FileSystemError } from '../../errors.ts'
import { undiciHandler } from '../../http/undici-handler.ts'
import type { CliContext } from '../context.ts'
import { usageError } from '../usage.ts'

/** How an administrator reaches a connector. */
export interface AdminFlags {
  readonly config?: string
  readonly connectorUrl?: string
  readonly connectorKeyFile?: string
  readonly caFile?: string
  readonly json?: true
}

/** Asks a connector's API. */
export interface AdminApi {
  /** Rejects as a client of the file system would, with the connector's reason and hint. */
  ask(method: 'DELETE' | 'GET' | 'PATCH' | 'POST', path: string, body?: unknown): Promise<unknown>
}

/**
 * Works with the API of the connector that runs, or of one that is opened for this command on the
 * configuration's own state, which no other process may have open then unless it is PostgreSQL.
 */
export async function withAdminApi<T>(
  flags: AdminFlags,
  context: CliContext,
  work: (api: AdminApi) => Promise<T>,
): Promise<T> {
  const { environment } = context
  const file = flags.config ?? environment['ABFS_CONNECTOR_CONFIG']
  const url = flags.connectorUrl ?? environment['ABFS_CONNECTOR_URL']
  if (flags.config === undefined && url !== undefined) return remote(url, flags, context, work)
  if (file === undefined) {
    throw usageError('name a configuration (--config) or a connector that runs (--connector-url)')
  }
  return local(resolve(file), context, work)
}

async function remote<T>(
  url: string,
  flags: AdminFlags,
  context: CliContext,
  work: (api: AdminApi) => Promise<T>,
): Promise<T> {
  if (!URL.canParse(url)) throw usageError(`--connector-url: '${url}' is no URL`)
  const endpoint = new URL(url)
  checkEndpoint(endpoint)
  const keyFile = flags.connectorKeyFile ?? context.environment['ABFS_CONNECTOR_KEY_FILE']
  if (keyFile === undefined) {
    throw usageError('name the file with an administrator’s key (--connector-key-file)')
  }
  const key = (await readText(keyFile)).trim()
  const ca = flags.caFile ?? context.environment['ABFS_CA_FILE']
  return asking(endpoint, key, ca === undefined ? undefined : await readText(ca), work)
}

async function local<T>(
  file: string,
  context: CliContext,
  work: (api: AdminApi) => Promise<T>,
): Promise<T> {
  const config = parseConnectorConfig(await readText(file), { file })
  const operator = generateCallerKey()
  const connector = await openConnector({
    config: {
      ...config,
      // For this command alone: a port of this machine, and a key that nobody else is told.
      listen: { host: '127.0.0.1', port: 0, behindTlsProxy: false },
      callers: [
        ...config.callers,
        { name: 'command-line', admin: true, keySha256: operator.keySha256 },
      ],
    },
    sources: diskSources(context.environment),
    clock: systemClock,
  })
  try {
    return await asking(connector.url, operator.key, undefined, work)
  } finally {
    await connector.close()
  }
}

async function asking<T>(
  endpoint: URL,
  key: string,
  ca: string | undefined,
  work: (api: AdminApi) => Promise<T>,
): Promise<T> {
  const http = undiciHandler(ca === undefined ? {} : { ca })
  const ask: AdminApi['ask'] = async (method, path, body) => {
    const url = new URL(`${endpoint.href.replace(/\/$/, '')}${path}`)
    const response = await http.handle({
      method,
      url,
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : Buffer.from(JSON.stringify(body)),
      operation: 'connector.admin',
      path: url.href,
    })
    const text = Buffer.from(response.body).toString('utf8')
    if (response.status < 300) return text === '' ? undefined : JSON.parse(text)
    throw refusalOf(text, response.status, path)
  }
  try {
    return await work({ ask })
  } finally {
    await http.close()
  }
}

function refusalOf(text: string, statusCode: number, path: string): FileSystemError {
  const problem = parseProblem(parsed(text))
  const code = problem === undefined ? undefined : codesOfReason[problem.reason]
  if (problem !== undefined && code !== undefined) {
    const { reason, hint } = problem
    // What is written on the command line goes into the request as it is: no version is at fault.
    const advice = reason === 'malformed' || hint === undefined ? '' : `; ${hint}`
    const detail = `${problem.detail.replace(/^the request .*?protocol: /, '')}${advice}`
    return new FileSystemError(code, 'connector.admin', { detail, path, statusCode })
  }
  if (problem !== undefined) return problem.toFileSystemError(path)
  return new FileSystemError('EIO', 'connector.admin', {
    detail: `what answers is no abfs connector of this version (HTTP ${statusCode})`,
    path,
    statusCode,
  })
}

const codesOfReason: Readonly<Record<string, ErrnoCode>> = {
  conflict: 'EEXIST',
  malformed: 'EINVAL',
  not_found: 'ENOENT',
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The caller says with the status that it is no answer of a connector.
    return undefined
  }
}

/** A file that a flag names. Rejects with `ENOENT` that says so. */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw unreadable(path, cause)
  }
}

function unreadable(path: string, cause: unknown): FileSystemError {
  const detail = 'the file that was named cannot be read'
  return new FileSystemError('ENOENT', 'config', { path, detail, cause })
}
