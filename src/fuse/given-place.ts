import { resolve } from 'node:path'

/** The descriptor that `mountpoint` names, as `/dev/fd/N`; `undefined` for a directory. */
export function givenDescriptor(mountpoint: string): number | undefined {
  const digits = /^\/(?:dev|proc\/self)\/fd\/(\d{1,4})$/.exec(resolve(mountpoint))?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** Whether `place` is how a connection is named that another process has mounted. */
export function isGivenPlace(place: string): boolean {
  return /^\/proc\/\d+\/fd\/\d+$/.test(place)
}
