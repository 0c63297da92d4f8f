import { readdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../clock.ts'
import { startTimeOf } from '../process-identity.ts'
import { Journal, type JournalOptions } from './journal.ts'

export interface JournalsOptions {
  /** Of one container of one account; shared by the mounts that show it. */
  readonly directory: string
  readonly clock: Clock
  readonly onStep?: JournalOptions['onStep']
  /** Names this process. Default: its number and when it began. */
  readonly owner?: string | undefined
  /** Whether the process of that name lives. */
  readonly isAlive?: ((owner: string) => boolean) | undefined
}

/** The journal of this process, the one of what others have to look after, and those of the dead. */
export class Journals {
  /** What this process has promised to store. */
  readonly pending: Journal
  /** Versions that lost a conflict or could not be stored: for their owner to look at. */
  readonly kept: Journal
  readonly #options: JournalsOptions
  readonly #owner: string

  constructor(options: JournalsOptions) {
    const { directory, clock, onStep } = options
    this.#options = options
    this.#owner = options.owner ?? ownerOf(process.pid)
    this.pending = new Journal({ directory: join(directory, this.#owner), clock, onStep })
    this.kept = new Journal({ directory: join(directory, keptName), clock, onStep })
  }

  /** The journals of processes that died. */
  async orphans(): Promise<Journal[]> {
    const { directory, clock, onStep, isAlive = isProcessAlive } = this.#options
    const names = await readdir(directory).catch(() => [])
    return names
      .filter((name) => name !== keptName && name !== this.#owner && !isAlive(name))
      .map((name) => new Journal({ directory: join(directory, name), clock, onStep }))
  }

  /** Takes the directories away in which nothing is left. */
  async tidy(): Promise<void> {
    const { directory } = this.#options
    for (const name of await readdir(directory).catch(() => [])) {
      // One that holds something stays, and so does one that is being filled.
      await rmdir(join(directory, name)).catch(() => undefined)
    }
  }
}

/** The journals in `directory`; `undefined` without one. */
export function journalsIn(directory: string | undefined, clock: Clock): Journals | undefined {
  return directory === undefined ? undefined : new Journals({ directory, clock })
}

const keptName = 'kept'

function ownerOf(pid: number): string {
  return `${pid}-${startTimeOf(pid) ?? '0'}`
}

function isProcessAlive(owner: string): boolean {
  const pid = Number(owner.split('-')[0])
  return Number.isInteger(pid) && ownerOf(pid) === owner
}
