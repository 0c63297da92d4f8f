import type { CallOptions } from '../blob/store.ts'
import type { Clock } from '../clock.ts'
import type { Namespace } from '../namespace/namespace.ts'
import type { BlobPath } from '../path.ts'
import type { ChunkCache } from '../transfer/chunk-cache.ts'
import type { AttributeDefaults } from './attributes.ts'
import type { PosixUse } from './posix-use.ts'
import type { IsShown } from './shown-names.ts'

/** How what an inode is shall be found. */
export interface EntryOptions extends CallOptions {
  readonly fresh?: boolean
  readonly toChange?: boolean
}

export interface TreeOptions {
  readonly namespace: Namespace
  readonly root: BlobPath
  readonly defaults: AttributeDefaults
  readonly readOnly: boolean
  readonly posixAttrs: PosixUse
  readonly isShown: IsShown | undefined
  readonly chunkCache: ChunkCache
  readonly clock: Clock
}
