/**
 * The kernel's side of a mount: frames in, frames out. The native addon is one implementation
 * (`native-channel.ts`, its only importer); tests have another that plays the kernel.
 */
export interface FuseChannel {
  /**
   * Begins to deliver requests, one complete frame a call, on the JavaScript thread. The callee may
   * read `frame` until it has sent the reply for it (`release` for requests that have none).
   * `onEnd` is called once when the kernel ended the connection (unmounted, aborted).
   */
  receive(onFrame: (frame: Buffer) => void, onEnd: (error?: Error) => void): void
  /**
   * Writes one reply or notification: `parts` are concatenated by the kernel (`writev`), not
   * copied here. Returns 0, or a negative errno: `-ENOENT` says that the request was interrupted,
   * which is no fault.
   */
  send(...parts: readonly Uint8Array[]): number
  /** Stops receiving and closes the descriptor; frames delivered before may still be answered. Idempotent. */
  close(): Promise<void>
}
