import type { StorageRequest } from '../wire/request.ts'

/**
 * The path that a request is about: that of its URL, or the directory that all of what it lists is
 * in. A blob prefix `a/b` lists `a/bc` too, so its directory is `a`.
 */
export function directoryAsked(request: StorageRequest): string {
  const { path, query } = request
  if (path !== undefined && path !== '') return path
  const prefix = query.get('prefix') ?? ''
  return query.get('directory') ?? prefix.slice(0, Math.max(0, prefix.lastIndexOf('/')))
}

/** The names of a path, from the top. */
export function segments(path: string): readonly string[] {
  return path.split('/').filter((segment) => segment !== '')
}

/** Whether the request is about all that is below the directory too. */
export function isRecursive({ face, query }: StorageRequest): boolean {
  if (face === 'dfs') return query.get('recursive')?.toLowerCase() === 'true'
  return query.get('comp') === 'list' && !query.has('delimiter')
}
