import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** A process that keeps a drive busy. */
export interface BusyProcess {
  readonly pid: number
  readonly command: string
}

/**
 * Processes whose working directory, root, program or open files lie in `directory`, as far as
 * this user may look. Only links of /proc are read, so a dead drive cannot block it.
 */
export function findBusyProcesses(directory: string): BusyProcess[] {
  return numericEntries('/proc').flatMap((pid) => {
    const links = [`/proc/${pid}/cwd`, `/proc/${pid}/root`, `/proc/${pid}/exe`, ...fdLinks(pid)]
    const busy = links.some((link) => isWithin(readLink(link), directory))
    return busy ? [{ pid, command: commandOf(pid) }] : []
  })
}

function fdLinks(pid: number): string[] {
  return numericEntries(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`)
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}

/** Numeric names in a directory of /proc; none when the process ended or belongs to another. */
function numericEntries(directory: string): number[] {
  try {
    return readdirSync(directory).map(Number).filter(Number.isInteger)
  } catch {
    return []
  }
}

function readLink(link: string): string {
  try {
    return readlinkSync(link)
  } catch {
    return ''
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return '?'
  }
}
