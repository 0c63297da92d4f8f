import type { Test } from 'tap'

/**
 * A request of a case. `{name}` in any text stands for what an earlier step saved; `{source}` for the
 * signed URL of the blob `source` of the case's container, `{target}` for its path and query.
 */
export interface Step {
  readonly method: 'GET' | 'PUT' | 'HEAD' | 'DELETE' | 'POST'
  /** Below the case's own container, '' is the container; with `/` first, of the account. Default `blob`. */
  readonly path?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Keeps headers of the answer for later steps: name to use, name of the header. */
  readonly save?: Readonly<Record<string, string>>
}

/** What the last step of a case is answered with. */
export interface Expected {
  /** `201`, or status and code: `409 BlobAlreadyExists`. */
  readonly outcome: string
  readonly headers?: Readonly<Record<string, string | RegExp | undefined>>
  readonly body?: string | RegExp
}

/** One rule of the service: how it answers the last step, or the first before it that fails. */
export interface SemanticsCase {
  readonly rule: string
  readonly before?: readonly Step[]
  readonly step: Step
  readonly expected: Expected
}

/** A rule that Azurite does not keep, with what it answers instead. */
export interface Difference {
  readonly rule: string
  readonly azurite: Expected
  /** What Azure's documentation says. */
  readonly azure: string
  readonly why: string
}

/** A service to hold to the rules. */
export interface SemanticsSubject {
  readonly isAzurite: boolean
  /** Sends a request with all rights. `path` begins with the container. */
  send(request: SentRequest): Promise<Answer>
  /** A URL with all rights. */
  signedUrl(path: string): URL
}

/** A request as the subject sends it. */
export interface SentRequest {
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/** An answer; header names are lower case. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

/** Holds a service to each rule; Azurite to what `differences` says of it. */
export function blobSemantics(
  t: Test,
  subject: SemanticsSubject,
  rules: {
    readonly cases: readonly SemanticsCase[]
    readonly differences: readonly Difference[]
  },
): void {
  const names = new Set(rules.cases.map(({ rule }) => rule))
  for (const { rule } of rules.differences) {
    if (!names.has(rule)) throw new Error(`a difference names no case: ${rule}`)
  }
  for (const [at, each] of rules.cases.entries()) {
    t.test(each.rule, async (t) => {
      const difference = rules.differences.find(({ rule }) => rule === each.rule)
      const expected = subject.isAzurite ? (difference?.azurite ?? each.expected) : each.expected
      const answer = await play(subject, each, `rule-${at}`)
      compare(t, answer, expected)
    })
  }
}

async function play(
  subject: SemanticsSubject,
  { before = [], step }: SemanticsCase,
  container: string,
): Promise<Answer> {
  const source = subject.signedUrl(`${container}/source`)
  const saved = new Map([
    ['source', source.href],
    ['target', `${source.pathname}${source.search}`],
  ])
  const create: Step = { method: 'PUT', path: '', query: { restype: 'container' } }
  for (const earlier of [create, ...before]) {
    const answer = await subject.send(requestOf(earlier, container, saved))
    // A service that lacks the step fails here; the answer then stands for the rule's.
    if (answer.status >= 300) return answer
    for (const [name, header] of Object.entries(earlier.save ?? {})) {
      saved.set(name, answer.headers[header] ?? '')
    }
  }
  return subject.send(requestOf(step, container, saved))
}

function requestOf(step: Step, container: string, saved: ReadonlyMap<string, string>): SentRequest {
  const fill = (text: string) => text.replace(/\{(\w+)\}/gu, (all, name) => saved.get(name) ?? all)
  const filled = (pairs: Readonly<Record<string, string>> = {}) =>
    Object.fromEntries(Object.entries(pairs).map(([name, value]) => [name, fill(value)]))
  const { method, path = 'blob', body } = step
  return {
    method,
    path: pathOf(path, container),
    query: filled(step.query),
    headers: filled(step.headers),
    body: body === undefined ? undefined : fill(body),
  }
}

function pathOf(path: string, container: string): string {
  if (path.startsWith('/')) return path.slice(1)
  return path === '' ? container : `${container}/${path}`
}

function compare(t: Test, answer: Answer, expected: Expected): void {
  t.equal(outcomeOf(answer), expected.outcome)
  for (const [name, value] of Object.entries(expected.headers ?? {})) {
    if (value instanceof RegExp) t.match(answer.headers[name], value, name)
    else t.equal(answer.headers[name], value, name)
  }
  if (expected.body instanceof RegExp) t.match(answer.body, expected.body)
  else if (expected.body !== undefined) t.equal(answer.body, expected.body)
}

function outcomeOf({ status, headers }: Answer): string {
  const code = headers['x-ms-error-code']
  return code === undefined || status < 400 ? String(status) : `${status} ${code}`
}
