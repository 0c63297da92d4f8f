import type { Clock } from '../clock.ts'
import type { BearerCredential } from '../credential/credential.ts'
import { faultChannel } from '../telemetry.ts'

/** What keeps a token file fresh. */
export interface FederatedTokenFileOptions {
  /** Asks for a new assertion. */
  readonly assertion: (signal: AbortSignal) => Promise<BearerCredential>
  /** Replaces the file at once, readable by its owner alone. */
  readonly write: (token: string) => Promise<unknown>
  /** Removes the file. */
  readonly remove: () => Promise<void>
  readonly clock: Clock
}

/** A file that holds a live assertion until it is closed. */
export interface FederatedTokenFile {
  /** Stops the renewal and removes the file. */
  close(): Promise<void>
}

/** A failed renewal is tried again after this; the file's token lives on meanwhile. */
const retryMs = 5_000
const minPauseMs = 1_000

/** Writes the first assertion, then another at half the life of each. Rejects when there is none. */
export async function keepFederatedTokenFile(
  options: FederatedTokenFileOptions,
): Promise<FederatedTokenFile> {
  const ending = new AbortController()
  const first = await renew(options, ending.signal)
  const renewal = keepRenewing(options, first, ending.signal)
  return {
    close: async () => {
      ending.abort()
      await renewal
      await options.remove()
    },
  }
}

async function renew(options: FederatedTokenFileOptions, signal: AbortSignal): Promise<number> {
  const { assertion, write, clock } = options
  const { token, expiresAtMs } = await assertion(signal)
  await write(token)
  return Math.max(minPauseMs, (expiresAtMs - clock.nowMs()) / 2)
}

async function keepRenewing(
  options: FederatedTokenFileOptions,
  firstPauseMs: number,
  signal: AbortSignal,
): Promise<void> {
  let pauseMs = firstPauseMs
  while (await hasPassed(options.clock, pauseMs, signal)) {
    pauseMs = await renew(options, signal).catch((error: Error) => {
      if (!signal.aborted) report(error)
      return retryMs
    })
  }
}

function report(error: Error): void {
  faultChannel.publish({ operation: 'agent.federation', path: 'federated token file', error })
}

/** `false` when it ended before. */
function hasPassed(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  return clock.sleep(ms, signal).then(
    () => true,
    () => false,
  )
}
