import { createHash } from 'node:crypto'

/** An object as it is kept: `revision` grows by one with each change. */
export interface StoredRecord<T> {
  readonly id: string
  readonly revision: number
  readonly createdAtMs: number
  readonly updatedAtMs: number
  readonly body: T
  /** Whether it stands in the configuration file, where alone it can be changed. */
  readonly declared: boolean
}

/** The strong entity tag of a record's revision. */
export function etagOf(record: Pick<StoredRecord<unknown>, 'id' | 'revision'>): string {
  return `"${record.id}.${record.revision}"`
}

/** The id of what a configuration file declares: the same each time it is read. A UUID, version 8. */
export function declaredId(kind: string, name: string): string {
  const digest = createHash('sha256').update(`abfs\0${kind}\0${name}`).digest('hex')
  const [a, b, c, d, e] = [
    digest.slice(0, 8),
    digest.slice(8, 12),
    `8${digest.slice(13, 16)}`,
    `a${digest.slice(17, 20)}`,
    digest.slice(20, 32),
  ]
  return `${a}-${b}-${c}-${d}-${e}`
}
