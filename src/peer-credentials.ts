import type { Socket } from 'node:net'
import { findAddon, type PeersAddon } from './native-addon.ts'

/** The process at the other end of a Unix socket, as the kernel knew it when it connected. */
export interface PeerCredentials {
  readonly pid: number
  readonly uid: number
  readonly gid: number
  /** Its supplementary groups. */
  readonly groups: readonly number[]
}

let addon: PeersAddon | undefined
let hasLooked = false

/** Whether {@link peerCredentials} can tell: it takes the addon. */
export function canTellPeerCredentials(): boolean {
  if (!hasLooked) {
    const found = findAddon(tellsPeers)
    addon = found !== undefined && tellsPeers(found) ? found : undefined
    hasLooked = true
  }
  return addon !== undefined
}

/** Who is at the other end; `undefined` for what is no Unix socket, and without the addon. */
export function peerCredentials(socket: Socket): PeerCredentials | undefined {
  const descriptor = descriptorOf(socket)
  if (descriptor === undefined || !canTellPeerCredentials()) return undefined
  const told = addon?.peerCredentials(descriptor)
  if (typeof told !== 'object') return undefined
  const [pid = 0, uid, gid, ...groups] = told
  // The kernel tells nobody's ids for sockets that have no peer.
  if (uid === undefined || gid === undefined || pid <= 0) return undefined
  return { pid, uid, gid, groups }
}

/** Node keeps it in a field without a name of its own in the documentation. */
function descriptorOf(socket: Socket): number | undefined {
  const handle: unknown = Reflect.get(socket, '_handle')
  const descriptor: unknown =
    typeof handle === 'object' && handle !== null ? Reflect.get(handle, 'fd') : undefined
  return typeof descriptor === 'number' && descriptor >= 0 ? descriptor : undefined
}

function tellsPeers(value: object): value is PeersAddon {
  return 'peerCredentials' in value
}
