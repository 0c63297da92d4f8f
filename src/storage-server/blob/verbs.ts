import type { Verb } from '../verb.ts'

/** The verbs of the blob face; the first that matches answers. */
export const blobVerbs: readonly Verb[] = []
