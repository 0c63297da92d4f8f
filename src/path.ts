/**
 * A place in one account. `container` is empty for the account's root; `name` is empty for the
 * container's root, has no leading slash, and is decoded (what the user sees, not what is sent).
 */
export interface BlobPath {
  readonly container: string
  readonly name: string
}

/** `abfs://container/name`, for messages. */
export function formatPath(path: BlobPath): string {
  return `abfs://${path.container}${path.name === '' ? '' : `/${path.name}`}`
}
