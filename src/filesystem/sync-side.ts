import { createHash } from 'node:crypto'
import { type BigIntStats, createReadStream, lstatSync } from 'node:fs'
import { lstat, rm } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CallOptions } from '../blob/store.ts'
import { systemClock } from '../clock.ts'
import { NearDisk } from '../transfer/near-disk.ts'
import type { AzureBlobFileSystem } from './azure-blob-file-system.ts'
import { localSum } from './content-sum.ts'
import type { FileInfo } from './file-info.ts'
import { onLocalDisk, runNear } from './local-error.ts'
import { LocalView } from './local-view.ts'
import type { PathInput } from './location.ts'
import { joinName, relativeName } from './tree-view.ts'
import { find } from './walk.ts'

/** A directory of an account, or of this machine. */
export type SyncSide = RemoteSide | LocalSide

/** A directory of this machine. */
export interface LocalSide {
  readonly local: string | URL
}

/** A directory of an account. */
export interface RemoteSide {
  readonly fs: AzureBlobFileSystem
  readonly path: PathInput
}

/** What is known of one file of a tree. */
export interface SyncFile {
  /** Relative to the tree. */
  readonly path: string
  readonly size: number
  /** Milliseconds since the epoch. */
  readonly modifiedMs: number
  /**
   * Which version of the file it is, on its own side: an ETag without quotes; of a local file its size and time of
   * change. Tells nothing about files of the other side.
   */
  readonly version: string
  /** Base64 of the CRC-64 of its bytes: what abfs noted of a blob, else of the bytes, which are read. */
  crc64(): Promise<string>
  /** Base64 of the MD5 of its bytes; `undefined` when the service keeps none. Reads a local file. */
  md5(): Promise<string | undefined>
}

/** The files of a tree, by path. */
export type SyncTree = ReadonlyMap<string, SyncFile>

/** The files below a side; links and what else is no file are left out. */
export async function listSide(side: SyncSide, options: CallOptions): Promise<SyncTree> {
  const files = 'local' in side ? await listLocal(side, options) : await listRemote(side, options)
  return new Map(files.map((file) => [file.path, file]))
}

/** Where `path` is on this side, as its own calls take it. */
export function placeOf(side: SyncSide, path: string): string {
  return joinName(rootOf(side), path)
}

/** Deletes one file. */
export async function removeFrom(
  side: SyncSide,
  path: string,
  options: CallOptions,
): Promise<void> {
  const place = placeOf(side, path)
  if ('fs' in side) await side.fs.rmFile(place, options)
  else await onLocalDisk(place, () => rm(place))
}

function rootOf(side: SyncSide): string {
  if ('fs' in side) return String(side.path).replace(/\/+$/, '')
  return resolve(side.local instanceof URL ? fileURLToPath(side.local) : side.local)
}

async function listRemote(side: RemoteSide, options: CallOptions): Promise<SyncFile[]> {
  const { fs, path } = side
  const { signal } = options
  fs.invalidateCache(path)
  if (!(await fs.exists(path, options))) return []
  const { name: root } = await fs.info(path, options)
  const found = await fs.find(path, { ...options, metadata: true })
  return found
    .filter(({ type }) => type === 'file')
    .map((info) => ({
      path: relativeName(root, info.name),
      size: info.size,
      modifiedMs: modifiedMsOf(info),
      version: blobVersion(info),
      crc64: () => fs.crc64(info.name, { signal }),
      md5: async () => info.contentMd5,
    }))
}

function modifiedMsOf({ mtimeNs, lastModified }: FileInfo): number {
  return mtimeNs === undefined ? (lastModified?.getTime() ?? 0) : Number(mtimeNs / 1_000_000n)
}

async function listLocal(side: SyncSide, options: CallOptions): Promise<SyncFile[]> {
  const root = rootOf(side)
  const disk = new NearDisk(systemClock)
  const entries = await find(new LocalView({ followLinks: false, disk }), root, options)
  const files: SyncFile[] = []
  for (const { name, type, size } of entries) {
    if (type !== 'file') continue
    const stats = await statsOf(name, disk)
    files.push({
      path: relativeName(root, name),
      size,
      modifiedMs: Number(stats.mtimeMs),
      version: versionOf(stats),
      crc64: () => localSum(name, options),
      md5: () => md5Of(name),
    })
  }
  return files
}

async function statsOf(name: string, disk: NearDisk): Promise<BigIntStats> {
  if (await disk.isNear(dirname(name))) {
    return runNear(disk, name, () => lstatSync(name, { bigint: true }))
  }
  return onLocalDisk(name, () => lstat(name, { bigint: true }))
}

/** {@link SyncFile.version} of a blob. */
export function blobVersion({ etag = '' }: Pick<FileInfo, 'etag'>): string {
  return etag.replaceAll('"', '')
}

function versionOf({ size, mtimeNs }: BigIntStats): string {
  return `${size}@${mtimeNs}`
}

/** {@link SyncFile.version} of a local file that is there now. */
export async function localVersion(path: string): Promise<string> {
  return versionOf(await onLocalDisk(path, () => lstat(path, { bigint: true })))
}

/** What a side is called in records: the account with the path in it, or a path of this machine. */
export function titleOf(side: SyncSide): string {
  const root = rootOf(side)
  return 'fs' in side ? `abfs://${side.fs.account}/${side.fs.nameOf(root)}` : root
}

async function md5Of(name: string): Promise<string> {
  const hash = createHash('md5')
  await onLocalDisk(name, async () => {
    for await (const chunk of createReadStream(name)) hash.update(chunk)
  })
  return hash.digest('base64')
}
