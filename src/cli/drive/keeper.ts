/**
 * The process that a drive with `--failover` outlives its daemon by: it holds a duplicate of the connection's
 * descriptor, and starts daemons. In the order things happen:
 *
 * 1. The first daemon mounts, and sends the descriptor by a socket; then its verdict, which goes on to who waits for it.
 * 2. A daemon that ends while the drive is mounted is followed by another, which is started with the descriptor. What
 *    the kernel asks meanwhile waits.
 * 3. A daemon that ends after its drive was unmounted ends the keeper, with its exit code.
 * 4. Where daemons end again and again, the drive is detached and the descriptor closed, so that nobody waits for ever.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import type { Logger } from 'pino'
import { z } from 'zod'
import { systemClock } from '../../clock.ts'
import { FileSystemError } from '../../errors.ts'
import { findMount } from '../../fuse/mount-table.ts'
import { loadNativeMounting } from '../../fuse/native-channel.ts'
import { detach } from '../../fuse/unmount.ts'
import type { CliContext } from '../context.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { selfCommand } from '../self.ts'
import { daemonProcess } from './daemon-process.ts'
import { type ConnectionMessage, handedOverCode, type KeptRole, keptFlag } from './kept.ts'
import {
  answerLauncher,
  type LaunchVerdict,
  launcherFlag,
  parseMessage,
  tellStarter,
} from './launch.ts'
import { withoutSecrets } from './launched-secrets.ts'
import { errorFields } from './log.ts'
import { notifyServiceManager } from './notify.ts'

/** Daemons that may end in `deathsWithinMs`, and in a row before they serve. */
const maxDeaths = 20
const deathsWithinMs = 600_000
const maxFailedStarts = 5
/** How long the second start in a row waits; each further one twice as long. */
const firstWaitMs = 500

export interface KeeperOptions {
  /** Of `abfs`, `mount` first. */
  readonly argv: readonly string[]
  readonly forLauncher: boolean
  readonly log: Logger
  readonly context: CliContext
}

/** The connection that is held. */
interface Connection {
  readonly descriptor: number
  readonly directory: string
  readonly file: string
  /** Tells the mount from a later one at the same place. */
  readonly mountDevice: string | undefined
}

/** How a daemon ended. */
interface End {
  readonly code: number | null
  readonly signal: string | null
  readonly served: boolean
}

/** Mounts, and has the drive served until it is unmounted; rejects as a daemon would that serves it alone. */
export async function keepDrive(options: KeeperOptions): Promise<void> {
  await new Keeper(options).run()
}

class Keeper {
  readonly #options: KeeperOptions
  readonly #native = loadNativeMounting()
  #connection: Connection | undefined
  #daemon: ChildProcess | undefined
  #verdict: LaunchVerdict | undefined
  /** When daemons ended that were not asked to; milliseconds since the epoch. */
  #deaths: number[] = []
  #failedStarts = 0
  #isEnding = false

  constructor(options: KeeperOptions) {
    this.#options = options
  }

  async run(): Promise<void> {
    this.#passSignalsOn()
    for (;;) {
      const end = await this.#serve()
      const connection = this.#connection
      if (connection === undefined || !(await isMounted(connection))) return this.#finish(end)
      if (!(await this.#mayStartAgain(end))) return this.#giveUp(connection)
    }
  }

  /** One daemon, from its start to its end. */
  async #serve(): Promise<End> {
    const daemon = this.#connection === undefined ? this.#startFirst() : this.#startNext()
    this.#daemon = daemon
    let served = false
    daemon.on('message', (said) => {
      if (this.#hear(said)) served = true
    })
    try {
      const [code, signal] = (await once(daemon, 'exit')) as [number | null, string | null]
      // What it has said last may come after that.
      if (daemon.connected) await once(daemon, 'disconnect')
      return { code, signal, served }
    } catch (error) {
      this.#options.log.error(errorFields(error), 'no daemon could be started')
      return { code: 1, signal: null, served }
    } finally {
      this.#daemon = undefined
    }
  }

  #startFirst(): ChildProcess {
    const sockets = this.#native.socketPair()
    if (typeof sockets === 'number') throw noSocket(-sockets)
    const [ours, theirs] = sockets
    try {
      const daemon = this.#spawn('first', theirs)
      daemon.on('message', (said) => {
        const connection = connectionMessage.safeParse(said).data
        if (connection !== undefined) void this.#take(ours, connection)
      })
      daemon.once('exit', () => this.#native.closeDescriptor(ours))
      return daemon
    } finally {
      this.#native.closeDescriptor(theirs)
    }
  }

  #startNext(): ChildProcess {
    return this.#spawn('next', this.#connection?.descriptor ?? 'ignore')
  }

  #spawn(role: KeptRole, descriptor: number | 'ignore'): ChildProcess {
    const { argv, context } = this.#options
    const own = argv.filter((word) => word !== launcherFlag)
    const [program, words] = selfCommand([...own, `${keptFlag}=${role}`])
    const { env: whole, flags } = daemonProcess(process.execArgv, { ...context.environment })
    const { env, secrets } = withoutSecrets(whole)
    const child = spawn(program, [...flags, ...words], {
      env,
      // A terminal's Ctrl-C comes here, and is passed on once.
      detached: true,
      stdio: ['ignore', 'inherit', 'inherit', descriptor, 'ipc'],
    })
    child.send(secrets, () => undefined)
    return child
  }

  async #take(socket: number, message: ConnectionMessage): Promise<void> {
    const descriptor = this.#native.receiveDescriptor(socket)
    const { directory, file } = message
    if (descriptor < 0) {
      this.#options.log.warn({ directory, errno: -descriptor }, 'this drive ends with its daemon')
      return
    }
    this.#connection = { descriptor, directory, file, mountDevice: undefined }
    const mountDevice = (await findMount(directory))?.device
    this.#connection = { ...this.#connection, mountDevice }
    this.#options.log.info({ directory }, 'keeps the connection')
  }

  /** Whether `said` tells that the daemon serves. */
  #hear(said: unknown): boolean {
    if (connectionMessage.safeParse(said).success) return false
    const { log, context, forLauncher } = this.#options
    const heard = parseMessage(said, 'its log')
    if (heard.kind === 'notice') tellStarter(context.stderr, forLauncher)(heard.line)
    else if (this.#verdict === undefined) void this.#tellVerdict(heard)
    else if (heard.kind === 'failed')
      log.error({ line: heard.line }, 'the drive was not taken over')
    else log.info({ directory: this.#connection?.directory }, 'taken over')
    return heard.kind === 'mounted'
  }

  async #tellVerdict(verdict: LaunchVerdict): Promise<void> {
    this.#verdict = verdict
    const { forLauncher, context, log } = this.#options
    if (forLauncher) return answerLauncher(verdict)
    if (verdict.kind === 'failed') return
    const directory = this.#connection?.directory ?? 'its directory'
    await notifyServiceManager(['READY=1', `STATUS=serving ${directory}`], context.environment, log)
    context.stderr.write(`abfs: mounted on ${directory}; Ctrl-C unmounts\n`)
  }

  /** Waits before another start where the last ones have failed. */
  async #mayStartAgain({ code, signal, served }: End): Promise<boolean> {
    const { log } = this.#options
    const { directory } = this.#connection ?? {}
    if (this.#isEnding) return false
    if (code === handedOverCode) {
      log.info({ directory }, 'handed over')
      return true
    }
    const nowMs = systemClock.nowMs()
    this.#deaths = [...this.#deaths.filter((atMs) => nowMs - atMs < deathsWithinMs), nowMs]
    this.#failedStarts = served ? 0 : this.#failedStarts + 1
    log.error({ directory, code, signal, served }, 'the daemon has ended: another takes over')
    if (this.#deaths.length > maxDeaths || this.#failedStarts >= maxFailedStarts) return false
    if (this.#failedStarts > 0) await systemClock.sleep(firstWaitMs * 2 ** (this.#failedStarts - 1))
    return !this.#isEnding
  }

  /** Nobody can serve the drive: whoever waits for it is told so. */
  async #giveUp({ directory, descriptor, file }: Connection): Promise<void> {
    const { log } = this.#options
    const detail = 'its daemons ended again and again: the drive is detached; the log says why'
    const error = new FileSystemError('EIO', 'failover', { path: directory, detail })
    if (!this.#isEnding) log.error(errorFields(error), 'gives up')
    await detach(directory, true).catch((cause: unknown) => {
      log.error(errorFields(cause), 'a dead drive stays')
    })
    this.#native.closeDescriptor(descriptor)
    rmSync(file, { force: true })
    if (!this.#isEnding) throw error
  }

  /** As the daemon ended. */
  #finish({ code, signal }: End): void {
    if (this.#connection !== undefined) {
      this.#native.closeDescriptor(this.#connection.descriptor)
      rmSync(this.#connection.file, { force: true })
    }
    // The launcher waits for one who has not said a word.
    if (this.#verdict === undefined) throw endedBeforehand(code, signal)
    if (code !== 0) throw new ExitStatus(code ?? exitCodes.failure)
  }

  #passSignalsOn(): void {
    const { context, forLauncher, log } = this.#options
    const { signal, interruption, environment, stderr } = context
    const pass = (name: NodeJS.Signals): void => void this.#daemon?.kill(name)
    const stop = (): void => {
      this.#isEnding = true
      void notifyServiceManager(['STOPPING=1'], environment, log)
      pass('SIGTERM')
    }
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
    interruption.onSecond(() => pass('SIGTERM'))
    process.on('SIGUSR2', () => pass('SIGUSR2'))
    if (forLauncher || !stderr.isTTY) interruption.onHangup(() => pass('SIGHUP'))
  }
}

function noSocket(errno: number): FileSystemError {
  const detail = `no sockets can be made for the drive's daemon: errno ${errno}`
  return new FileSystemError('EIO', 'mount', { detail })
}

function endedBeforehand(code: number | null, signal: string | null): FileSystemError {
  const how = signal === null ? `with code ${code}` : `by ${signal}`
  return new FileSystemError('EIO', 'mount', { detail: `the daemon ended ${how} before it served` })
}

const connectionMessage: z.ZodType<ConnectionMessage> = z.object({
  kind: z.literal('connection'),
  directory: z.string(),
  file: z.string(),
})

async function isMounted({ directory, mountDevice }: Connection): Promise<boolean> {
  return (await findMount(directory))?.device === mountDevice && mountDevice !== undefined
}
