import { formatPath } from '../path.ts'
import { type HiddenFileEvent, hiddenFileChannel } from '../telemetry.ts'
import type { HiddenListener } from './listing.ts'

/** More of them say no more. */
const maxTold = 100

/** Publishes each file that a directory of its name hides once, however often it is listed. */
export function hiddenFilesTold(): HiddenListener {
  const told = new Set<string>()
  return (hidden) => {
    const path = formatPath(hidden)
    if (told.has(path) || told.size === maxTold) return
    told.add(path)
    hiddenFileChannel.publish({ path } satisfies HiddenFileEvent)
  }
}
