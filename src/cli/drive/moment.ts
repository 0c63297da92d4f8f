import { idOfMs, type Moment } from '../../blob/past-names.ts'
import { usageError } from '../usage.ts'

/** The time that `--at` or `--snapshot` names; `undefined` for the present. */
export function parseMoment(
  flags: { readonly at?: string; readonly snapshot?: string },
  nowMs: number,
): Moment | undefined {
  const { at, snapshot } = flags
  if (at !== undefined && snapshot !== undefined) {
    throw usageError('--at shows versions, --snapshot shows snapshots: give one of them')
  }
  if (at !== undefined) return { of: 'versions', at: parseTime('--at', at, nowMs) }
  if (snapshot === undefined) return undefined
  return { of: 'snapshots', at: parseTime('--snapshot', snapshot, nowMs) }
}

/** As Azure writes times of versions and snapshots, which are their ids, to the tenth of a microsecond. */
function parseTime(flag: string, text: string, nowMs: number): string {
  const [, day = '', time = 'T00:00:00', fraction = '', zone = ''] = form.exec(text) ?? []
  const ms = Date.parse(`${day}${time.length === 6 ? `${time}:00` : time}${zone || 'Z'}`)
  const needsZone = text.includes('T') && zone === ''
  if (Number.isNaN(ms) || needsZone) {
    throw usageError(
      `${flag} must be a day, a time with its zone, or an id such as 2026-08-01T00:00:00.1234567Z, not '${text}'`,
    )
  }
  if (ms > nowMs) throw usageError(`${flag} must be a time that has been, not '${text}'`)
  return `${idOfMs(ms).slice(0, 20)}${fraction.padEnd(7, '0')}Z`
}

const form = /^(\d{4}-\d\d-\d\d)(?:(T\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,7}))?(Z|[+-]\d\d:\d\d)?)?$/
