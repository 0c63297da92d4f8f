/** Content made of words that say which write they are of, so that one can tell a version from a mixture of two. */
export type Words = readonly number[]

export function bytesOf(words: Words): Buffer {
  return Buffer.from(Uint32Array.from(words).buffer)
}

export function wordsOf(bytes: Uint8Array): Words {
  return [...new Uint32Array(Uint8Array.from(bytes).buffer)]
}
