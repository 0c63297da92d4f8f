// Loaded into a measured process (`node --import`): how long its event loop stood still, and its garbage
// collections. Its parent sends `pauses` over their channel and gets what was since it last did.
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks'

const delays = monitorEventLoopDelay({ resolution: 1 })
delays.enable()
let collections = []
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collections.push(duration)
}).observe({ entryTypes: ['gc'] })

process.on('message', (message) => {
  if (message !== 'pauses') return
  const ms = (nanoseconds) => Number((nanoseconds / 1e6).toFixed(2))
  process.send({
    kind: 'pauses',
    loopMs: { p50: ms(delays.percentile(50)), p99: ms(delays.percentile(99)), max: ms(delays.max) },
    collections: collections.length,
    longestCollectionMs: Number(Math.max(0, ...collections).toFixed(2)),
  })
  delays.reset()
  collections = []
})
// The channel alone does not keep the process alive.
process.channel?.unref()
