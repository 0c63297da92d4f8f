// What a benchmark started ends with it, also when it fails or is interrupted.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'

let obeysSignals = false

/** Runs `work`, which may not wait, when this process ends in whatever way it can see. */
export function atEnd(work) {
  process.once('exit', work)
  if (obeysSignals) return
  obeysSignals = true
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(name, () => process.exit(128 + constants.signals[name]))
  }
}

/** Ends `child` with this process, if it has not ended by then. */
export function endWithUs(child) {
  atEnd(() => child.kill('SIGTERM'))
  return child
}

/** Detaches what is mounted below `directory`, so that removing it removes nothing that is served. */
export function detachBelow(directory) {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  const places = lines.map((line) => line.split(' ')[4] ?? '')
  for (const place of places.filter((place) => place.startsWith(`${directory}/`))) {
    try {
      execFileSync('umount', ['-l', place], { stdio: 'inherit' })
    } catch (error) {
      process.stderr.write(`${place} is left mounted: ${error.message}\n`)
    }
  }
}
