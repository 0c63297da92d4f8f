import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** The functions of the addon that add up; `native/addon_checksums.cc` has their contracts. */
export interface Crc64Addon {
  crc64(data: Uint8Array, before: bigint): bigint
  crc64Async(data: Uint8Array): Promise<bigint>
}

/** What became of granules of the disk cache: their sums, or a negative errno. */
type GranulesAnswer = { readonly named: boolean; readonly sums: Uint32Array } | number

/** Two descriptors, and which file of data that is. */
export interface OpenedGranules {
  readonly data: number
  readonly sums: number
  readonly identity: string
}

/** How the addon reads and writes the disk cache's files; `native/granule_files.h` has the contract. */
export interface GranulesAddon {
  openGranules(place: string, create: boolean): Promise<OpenedGranules | number>
  closeGranules(data: number, sums: number): Promise<number>
  granulesIdentity(data: number): string | number
  writeGranules(
    data: number,
    sums: number,
    first: number,
    bytes: Uint8Array,
  ): Promise<GranulesAnswer>
  readGranules(data: number, sums: number, first: number, into: Uint8Array): Promise<GranulesAnswer>
  writeSmall(
    name: string,
    sumsAt: number,
    first: number,
    bytes: Uint8Array,
  ): Promise<GranulesAnswer>
  readSmall(
    name: string,
    sumsAt: number,
    first: number,
    into: Uint8Array,
    usedAtMs: number,
  ): Promise<GranulesAnswer>
  readSums(data: number, sums: number, first: number, count: number): Promise<GranulesAnswer>
}

/** What the addon tells of the other end of a socket; `native/addon_peers.cc` has the contract. */
export interface PeersAddon {
  peerCredentials(descriptor: number): readonly number[] | number
}

/** Relative to the package: what was built there, then what the package brought along. */
export const addonPlaces: readonly string[] = [
  'native/build/abfs.node',
  `prebuilds/${process.platform}-${process.arch}/abfs.node`,
]

/** What to do where no addon loads. */
export function howToBuildAddon(): string {
  const place = fileURLToPath(new URL('../native', import.meta.url))
  return `run \`make -C ${place}\` (it needs make, a C++20 compiler and, installed beside abfs, the npm packages node-addon-api and node-api-headers)`
}

/**
 * The first build of the addon that loads and for which `isRight` holds; what went wrong with the others
 * goes to `failures`.
 */
export function findAddon(
  isRight: (exports: object) => boolean,
  failures: unknown[] = [],
): object | undefined {
  const require = createRequire(import.meta.url)
  for (const place of addonPlaces) {
    try {
      const addon: unknown = require(fileURLToPath(new URL(`../${place}`, import.meta.url)))
      if (typeof addon === 'object' && addon !== null && isRight(addon)) return addon
      failures.push(new TypeError(`${place} is another addon`))
    } catch (error) {
      failures.push(error)
    }
  }
  return undefined
}
