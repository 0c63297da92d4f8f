import type { ClosableHandler, TransportOptions } from './handler.ts'

/** Opens the bottom of the HTTP stack; only the one that is asked for is loaded. */
export async function openTransport(
  kind: 'socket' | 'undici',
  options: TransportOptions = {},
): Promise<ClosableHandler> {
  if (kind === 'undici') {
    const { undiciHandler } = await import('./undici-handler.ts')
    return undiciHandler(options)
  }
  const { socketHandler } = await import('./socket-handler.ts')
  return socketHandler(options)
}
