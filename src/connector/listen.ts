import { chmod, unlink } from 'node:fs/promises'
import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { FileSystemError } from '../errors.ts'
import { howToBuildAddon } from '../native-addon.ts'
import { canTellPeerCredentials } from '../peer-credentials.ts'
import type { ListenConfig } from './config.ts'

/** `sun_path` of unix(7) with its ending zero. */
const maxSocketPathBytes = 107

/**
 * Binds the server to what its configuration names and says where that is. A Unix socket is its
 * owner's alone, unless `anyPeer`: then the kernel is asked who is at the other end.
 */
export async function listen(
  server: FastifyInstance,
  config: ListenConfig,
  { anyPeer }: { readonly anyPeer: boolean },
): Promise<URL> {
  if (config.unixSocket === undefined) return listenOnPort(server, config)
  if (anyPeer && !canTellPeerCredentials()) throw cannotTell(config.unixSocket)
  return listenOnSocket(server, config.unixSocket, anyPeer ? 0o666 : 0o600)
}

async function listenOnPort(server: FastifyInstance, config: ListenConfig): Promise<URL> {
  const { host, port, tls } = config
  try {
    await server.listen({ host, port })
  } catch (error) {
    throw listenError(error, config)
  }
  const address = server.server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  const name = host.includes(':') ? `[${host.replace(/^\[|\]$/g, '')}]` : host
  return new URL(`${tls === undefined ? 'http' : 'https'}://${name}:${bound}/`)
}

/** A socket that a dead process left behind is replaced. */
async function listenOnSocket(server: FastifyInstance, path: string, mode: number): Promise<URL> {
  if (Buffer.byteLength(path) > maxSocketPathBytes) {
    const detail = `the path of a socket has ${maxSocketPathBytes} bytes at most: shorten listen.unixSocket`
    throw failure('EINVAL', path, undefined, detail)
  }
  try {
    if (await isAbandoned(path)) await unlink(path)
    await server.listen({ path })
    await chmod(path, mode)
  } catch (error) {
    throw socketError(error, path)
  }
  return new URL(`unix:${path}`)
}

function isAbandoned(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path)
    probe.once('connect', () => {
      probe.destroy()
      resolve(false)
    })
    probe.once('error', (error) => resolve(codeOf(error) === 'ECONNREFUSED'))
  })
}

function listenError(error: unknown, config: ListenConfig): FileSystemError {
  const { host, port } = config
  const path = `${host}:${port}`
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return failure(
        'EBUSY',
        path,
        error,
        `port ${port} on ${host} is in use by another program: stop that one, or set listen.port to another (0 takes a free one)`,
      )
    case 'EACCES':
      return failure(
        'EACCES',
        path,
        error,
        `this user may not listen on port ${port}: set listen.port to 1024 or above`,
      )
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return failure(
        'EINVAL',
        path,
        error,
        `'${host}' is no address of this machine: correct listen.host`,
      )
    default:
      return failure('EIO', path, error, `cannot listen (${codeOf(error) ?? 'unknown'})`)
  }
}

function socketError(error: unknown, path: string): FileSystemError {
  return codeOf(error) === 'EADDRINUSE'
    ? failure(
        'EBUSY',
        path,
        error,
        'the socket is in use by another program: stop that one, or set listen.unixSocket to another path',
      )
    : failure(
        'EIO',
        path,
        error,
        `cannot listen on the socket (${codeOf(error) ?? 'unknown'}): check that its directory exists and is writable`,
      )
}

function cannotTell(path: string): FileSystemError {
  const detail = `callers are known by 'unixPeer', but this machine cannot tell who is at the other end of a socket; on Linux the native addon does: ${howToBuildAddon()}`
  return failure('EINVAL', path, undefined, detail)
}

function failure(
  code: 'EACCES' | 'EBUSY' | 'EINVAL' | 'EIO',
  path: string,
  cause: unknown,
  detail: string,
): FileSystemError {
  return new FileSystemError(code, 'connector.listen', { detail, path, cause })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
}
