import type { Clock } from '../../clock.ts'
import type { HttpHandler } from '../../http/handler.ts'
import type { Finding } from './examine.ts'

const warnsFromMs = 30_000
/** Credentials are renewed so long before their end: a clock that is slower would use them after it. */
const failsFromMs = 5 * 60_000

/**
 * Compares the clock of this machine with the service's, by the `Date` of an answer: validity of tokens and
 * signatures depends on it. Sends one request without a credential; what the service says to it does not matter.
 */
export async function examineClock(
  blobEndpoint: URL,
  http: HttpHandler,
  clock: Clock,
  signal: AbortSignal,
): Promise<Finding> {
  const sentAtMs = clock.nowMs()
  const { headers } = await http({
    method: 'HEAD',
    url: blobEndpoint,
    headers: {},
    operation: 'account.clock',
    path: blobEndpoint.href,
    signal,
  })
  const receivedAtMs = clock.nowMs()
  const dateMs = Date.parse(headers['date'] ?? '')
  if (Number.isNaN(dateMs)) {
    return { name: 'clock', verdict: 'warned', detail: 'the service does not say what time it is' }
  }
  // A date has no fractions of seconds: it was half a second later, on average.
  const aheadMs = (sentAtMs + receivedAtMs) / 2 - (dateMs + 500)
  return judge(aheadMs, (receivedAtMs - sentAtMs) / 2 + 500)
}

function judge(aheadMs: number, uncertainMs: number): Finding {
  const seconds = Math.round(Math.abs(aheadMs) / 1000)
  const uncertain = Math.ceil(uncertainMs / 1000)
  if (Math.abs(aheadMs) - uncertainMs < warnsFromMs) {
    const detail = `this machine and the service agree within ${Math.max(seconds, uncertain)} s`
    return { name: 'clock', verdict: 'ok', detail }
  }
  const how = aheadMs > 0 ? 'ahead of' : 'behind'
  const detail =
    `this machine is ${seconds} s ${how} the service: tokens and signatures are taken for valid when they ` +
    'are not; set the clock (`timedatectl set-ntp true`)'
  const isFar = Math.abs(aheadMs) - uncertainMs >= failsFromMs
  return { name: 'clock', verdict: isFar ? 'failed' : 'warned', detail }
}
