import { closeSync, fdatasyncSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { StorageAccount } from '../model/account.ts'
import type { Container } from '../model/container.ts'
import type { Extent } from '../model/extent.ts'
import type { PathState } from '../model/record.ts'
import { type Entry, encodeContainer } from './entries.ts'
import { type FileCalls, writeAll } from './file-calls.ts'
import { frameOf } from './frames.ts'
import { type ExtentPlaces, encodeState, extentsOf } from './state-codec.ts'

// States never change, so that an image of all accounts is the list of them: it is taken within one
// turn and written over many, while requests go on.

interface ContainerImage {
  readonly container: Container
  readonly entry: Entry
  readonly states: readonly PathState[]
  readonly retiredVersion?: string | undefined
}

/** All that a directory holds, at one moment. */
export interface Image {
  readonly heads: readonly Entry[]
  readonly containers: readonly ContainerImage[]
  readonly idOf: (container: Container) => number
}

/** What an image is taken of. */
export interface ImageSource {
  readonly accounts: Iterable<StorageAccount>
  readonly notes: Iterable<readonly [string, unknown]>
  readonly idOf: (container: Container) => number
}

const frameCharacters = 1024 * 1024

/** Takes an image; nothing is encoded yet. */
export function takeImage({ accounts, notes, idOf }: ImageSource): Image {
  const heads: Entry[] = [...notes].map(([name, value]) => ['note', name, value] as const)
  const containers: ContainerImage[] = []
  for (const account of accounts) {
    heads.push(['account', account.settings])
    // Retired ones first: a live one may have the name of one of them.
    for (const [version, container] of account.retiredContainers()) {
      containers.push({ ...imageOf(account, container, idOf), retiredVersion: version })
    }
    for (const container of account.containers()) {
      containers.push(imageOf(account, container, idOf))
    }
  }
  return { heads, containers, idOf }
}

function imageOf(
  account: StorageAccount,
  container: Container,
  idOf: (container: Container) => number,
): ContainerImage {
  const properties = encodeContainer(container.properties)
  const entry: Entry = ['container', account.settings.name, idOf(container), properties]
  return { container, entry, states: [...container.paths.from('')] }
}

/** All extents that an image refers to, some more than once. */
export function* extentsOfImage({ containers }: Image): Generator<Extent> {
  for (const { states } of containers) {
    for (const state of states) yield* extentsOf(state)
  }
}

/**
 * Writes an image to `path`: whole, on the disk and under its name when this resolves, or not at
 * all. Returns its bytes.
 */
export async function writeSnapshot(
  path: string,
  image: Image,
  { places, files }: { readonly places: ExtentPlaces; readonly files: FileCalls },
): Promise<number> {
  const unfinished = `${path}.new`
  const fd = openSync(unfinished, 'w', 0o600)
  let position = 0
  try {
    for (const payload of payloadsOf(image, places)) {
      const data = frameOf(payload)
      await writeAll(files, fd, { data, position })
      position += data.byteLength
    }
    fdatasyncSync(fd)
  } catch (error) {
    rmSync(unfinished, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
  renameSync(unfinished, path)
  syncDirectory(dirname(path))
  return position
}

/** Brings the names in a directory to the disk. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function* payloadsOf(image: Image, places: ExtentPlaces): Generator<string> {
  let entries: string[] = []
  let characters = 0
  for (const entry of entriesOf(image, places)) {
    const text = JSON.stringify(entry)
    entries.push(text)
    characters += text.length
    if (characters < frameCharacters) continue
    yield `[${entries.join(',')}]`
    entries = []
    characters = 0
  }
  yield `[${entries.join(',')}]`
}

function* entriesOf({ heads, containers, idOf }: Image, places: ExtentPlaces): Generator<Entry> {
  yield* heads
  for (const { container, entry, states, retiredVersion } of containers) {
    const id = idOf(container)
    yield entry
    for (const state of states) yield ['put', id, encodeState(state, places)]
    if (retiredVersion !== undefined) yield ['retireContainer', id, retiredVersion]
  }
  yield ['end']
}
