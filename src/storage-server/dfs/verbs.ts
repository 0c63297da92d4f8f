import type { Verb } from '../verb.ts'
import { appendData } from './append-data.ts'
import { createPath } from './create-path.ts'
import { deletePath } from './delete-path.ts'
import {
  createFileSystem,
  deleteFileSystem,
  getFileSystemProperties,
  listFileSystems,
  setFileSystemProperties,
} from './file-systems.ts'
import { flushData } from './flush-data.ts'
import { leasePath } from './lease-path.ts'
import { listPaths } from './list-paths.ts'
import { getPathProperties, readPath } from './read-path.ts'
import { checkRenameSource, renamePath } from './rename-path.ts'
import { setAccessControl } from './set-access-control.ts'
import { setAccessControlRecursive } from './set-access-control-recursive.ts'
import { setExpiry } from './set-expiry.ts'
import { setPathProperties } from './set-properties.ts'
import { undeletePath } from './undelete-path.ts'

/** The verbs of the dfs face, the frequent ones first; the first that matches answers. */
export const dfsVerbs: readonly Verb[] = [
  appendData,
  flushData,
  readPath,
  getPathProperties,
  listPaths,
  renamePath,
  createPath,
  deletePath,
  setPathProperties,
  setAccessControl,
  setAccessControlRecursive,
  leasePath,
  checkRenameSource,
  createFileSystem,
  deleteFileSystem,
  getFileSystemProperties,
  setFileSystemProperties,
  listFileSystems,
  setExpiry,
  undeletePath,
]

/** What Data Lake clients send to the blob face: before the verbs of that face. */
export const dfsVerbsOfBlobFace: readonly Verb[] = [setExpiry, undeletePath]
