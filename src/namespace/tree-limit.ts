const defaultConcurrency = 16

/** Requests of an operation on a tree that are under way at once. */
export function limitOf(options: { readonly concurrency?: number | undefined }): number {
  return options.concurrency ?? defaultConcurrency
}
