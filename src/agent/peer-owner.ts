import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'

/** Linux's table of IPv4 sockets; proc(5). */
const tcpTable = '/proc/net/tcp'

/** Whether {@link peerOwner} can tell: only Linux has the table. */
export async function canTellPeers(): Promise<boolean> {
  return readFile(tcpTable).then(
    () => true,
    () => false,
  )
}

/** The user id of the process at the other end of a loopback connection; `undefined`: unknown. */
export async function peerOwner(socket: Socket): Promise<number | undefined> {
  const { remotePort, localPort } = socket
  if (remotePort === undefined || localPort === undefined) return undefined
  const local = `0100007F:${hexPort(remotePort)}`
  const remote = `0100007F:${hexPort(localPort)}`
  for (const line of (await readFile(tcpTable, 'latin1')).split('\n')) {
    const fields = line.trim().split(/\s+/)
    if (fields[1] === local && fields[2] === remote) return Number(fields[7])
  }
  return undefined
}

/** Ports stand in the table as four hexadecimal digits. */
function hexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}
