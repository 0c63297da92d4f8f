/** A value that SQL takes: JSON goes as its text. */
export type SqlValue = string | number | boolean | null

export type Row = Readonly<Record<string, unknown>>

/** Runs statements of PostgreSQL's dialect; numbers of 64 bits come back as `number`. */
export interface Queries {
  query(sql: string, values?: readonly SqlValue[]): Promise<readonly Row[]>
}

/** PostgreSQL, wherever it runs. */
export interface Database extends Queries {
  /** Whether other processes may use the same database at the same time. */
  readonly shared: boolean
  /** All of `work` or nothing of it. */
  transaction<T>(work: (queries: Queries) => Promise<T>): Promise<T>
  /** Waits for what is running; never throws. */
  close(): Promise<void>
}
