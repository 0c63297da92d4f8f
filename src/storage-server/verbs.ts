import { blobVerbs } from './blob/verbs.ts'
import { dfsVerbs, dfsVerbsOfBlobFace } from './dfs/verbs.ts'
import type { Verb } from './verb.ts'
import type { StorageRequest } from './wire/request.ts'

const verbs: Readonly<Record<StorageRequest['face'], readonly Verb[]>> = {
  blob: [...dfsVerbsOfBlobFace, ...blobVerbs],
  dfs: dfsVerbs,
}

/** The verb that answers a request; `undefined` when there is none. */
export function findVerb(request: StorageRequest): Verb | undefined {
  return verbs[request.face].find((verb) => verb.matches(request))
}
