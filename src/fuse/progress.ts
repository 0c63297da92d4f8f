import { type HttpEvent, httpChannel } from '../telemetry.ts'

/**
 * Calls `note` whenever the service has answered something, until the returned function is called.
 * Attempts that ended without an answer are no progress.
 */
export function watchProgress(note: () => void): () => void {
  const onHttp = (event: unknown): void => {
    if ((event as HttpEvent).status !== undefined) note()
  }
  httpChannel.subscribe(onHttp)
  return () => {
    httpChannel.unsubscribe(onHttp)
  }
}
