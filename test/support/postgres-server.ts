import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A PostgreSQL of this machine, on loopback, with a data directory of its own. */
export interface PostgresServer {
  readonly url: string
  /** All that is in it, as SQL. */
  dump(): Promise<string>
  stop(): Promise<void>
}

/** Where Debian keeps the server's programs; `undefined` when it is not installed. */
export async function postgresPrograms(): Promise<string | undefined> {
  const root = '/usr/lib/postgresql'
  const versions = await readdir(root).catch(() => [])
  const [newest] = versions.filter((name) => /^\d+$/.test(name)).sort((a, b) => +b - +a)
  return newest === undefined ? undefined : join(root, newest, 'bin')
}

/** Starts one. The server refuses root, so root starts it as the user that Debian's package made. */
export async function startPostgres(programs: string): Promise<PostgresServer> {
  const directory = await mkdtemp(join(tmpdir(), 'abfs-postgres-'))
  const as = await serverUser(directory)
  const data = join(directory, 'data')
  const port = await freePort()
  await run(join(programs, 'initdb'), ['-D', data, '-A', 'trust', '-U', 'abfs', '-N'], as)
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    fsync: 'off',
  }
  const server = spawn(
    join(programs, 'postgres'),
    [
      '-D',
      data,
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    { ...as, stdio: 'ignore' },
  )
  await answers(programs, port)
  const url = `postgres://abfs@127.0.0.1:${port}/postgres`
  const dump = async (): Promise<string> => {
    const options = { maxBuffer: 256 * 1024 * 1024 }
    return (await run(join(programs, 'pg_dump'), ['--dbname', url], options)).stdout
  }
  return {
    url,
    dump,
    stop: () => stop(server, directory),
  }
}

async function serverUser(directory: string): Promise<{ uid?: number; gid?: number; cwd: string }> {
  if (userInfo().uid !== 0) return { cwd: directory }
  const { stdout } = await run('id', ['-u', 'postgres'])
  const { stdout: group } = await run('id', ['-g', 'postgres'])
  await chown(directory, Number(stdout), Number(group))
  return { uid: Number(stdout), gid: Number(group), cwd: directory }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function answers(programs: string, port: number): Promise<void> {
  const check = ['-h', '127.0.0.1', '-p', String(port), '-t', '20']
  for (let attempt = 0; attempt < 200; attempt += 1) {
    try {
      await run(join(programs, 'pg_isready'), check)
      return
    } catch {
      // It is still starting; spawning the next check takes time of its own.
    }
  }
  throw new Error('PostgreSQL did not start')
}

async function stop(server: ChildProcess, directory: string): Promise<void> {
  // Immediate shutdown: the data goes away with it.
  if (server.exitCode === null && server.kill('SIGQUIT')) await once(server, 'exit')
  await rm(directory, { recursive: true, force: true })
}
