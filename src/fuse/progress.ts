import { type HttpEvent, heldChannel, httpChannel } from '../telemetry.ts'

/** What is told of calls that wait. */
export interface ProgressNotes {
  /** The service has answered something. Attempts that ended without an answer are no progress. */
  answered(): void
  /** Requests wait for their turn of a rate that is held. */
  held(): void
}

/** Tells `notes` until the returned function is called. */
export function watchProgress(notes: ProgressNotes): () => void {
  const onHttp = (event: unknown): void => {
    if ((event as HttpEvent).status !== undefined) notes.answered()
  }
  const onHeld = (): void => notes.held()
  httpChannel.subscribe(onHttp)
  heldChannel.subscribe(onHeld)
  return () => {
    httpChannel.unsubscribe(onHttp)
    heldChannel.unsubscribe(onHeld)
  }
}
