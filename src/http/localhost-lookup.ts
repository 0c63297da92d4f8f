import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'

/**
 * Finds the address of a host: names below `.localhost` are this machine (RFC 6761, 6.3), which not
 * every system's resolver knows; all others are the resolver's.
 */
export const localhostLookup: LookupFunction = (hostname, options, callback) => {
  if (!/\.localhost\.?$/i.test(hostname)) {
    lookup(hostname, options, callback)
    return
  }
  const { family, all } = options
  const wanted = addresses.filter((each) => isOfFamily(each.family, family))
  const [first = ipv4] = wanted
  // Like the resolver, never before the caller has gone on.
  process.nextTick(() => {
    if (all === true) callback(null, wanted)
    else callback(null, first.address, first.family)
  })
}

const ipv4 = { address: '127.0.0.1', family: 4 }
const addresses = [ipv4, { address: '::1', family: 6 }]

function isOfFamily(family: number, wanted: number | string | undefined): boolean {
  return wanted === undefined || wanted === 0 || [family, `IPv${family}`].includes(wanted)
}
