/** Comparisons of tags: strings are compared character by character. */
export type TagOperator = '=' | '<>' | '>' | '>=' | '<' | '<='

/** A search expression or condition on tags, parsed. */
export type TagExpression =
  | {
      readonly kind: 'comparison'
      /** A tag's name, or `@container`. */
      readonly name: string
      readonly operator: TagOperator
      readonly value: string
    }
  | {
      readonly kind: 'and' | 'or'
      readonly left: TagExpression
      readonly right: TagExpression
    }
  | { readonly kind: 'not'; readonly operand: TagExpression }

/** An expression that cannot be read; the verb makes it Azure's refusal. */
export class TagExpressionError extends Error {
  override readonly name = 'TagExpressionError'
}

/**
 * Reads the `where` of Find Blobs by Tags: comparisons joined by `AND`, without `<>`; `@container`
 * is compared by `=` only. Throws `TagExpressionError`.
 */
export function parseTagSearch(text: string): TagExpression {
  const expression = new Parser(text).parse()
  checkSearch(expression)
  return expression
}

/**
 * Reads `x-ms-if-tags`: comparisons with `AND`, `OR`, `NOT` and parentheses. Throws
 * `TagExpressionError`.
 */
export function parseTagCondition(text: string): TagExpression {
  const expression = new Parser(text).parse()
  if (namesOf(expression).includes('@container')) fail('@container belongs to searches')
  return expression
}

/** Whether tags satisfy an expression. A comparison with a tag that is absent is false. */
export function matchesTags(
  expression: TagExpression,
  tags: Readonly<Record<string, string>>,
  container?: string,
): boolean {
  switch (expression.kind) {
    case 'and':
      return (
        matchesTags(expression.left, tags, container) &&
        matchesTags(expression.right, tags, container)
      )
    case 'or':
      return (
        matchesTags(expression.left, tags, container) ||
        matchesTags(expression.right, tags, container)
      )
    case 'not':
      return !matchesTags(expression.operand, tags, container)
    case 'comparison': {
      const { name } = expression
      const held = name === '@container' ? container : Object.hasOwn(tags, name) && tags[name]
      return typeof held === 'string' && compare(held, expression)
    }
  }
}

/** The names that an expression compares, in its order. */
export function namesOf(expression: TagExpression): readonly string[] {
  switch (expression.kind) {
    case 'comparison':
      return [expression.name]
    case 'not':
      return namesOf(expression.operand)
    case 'and':
    case 'or':
      return [...namesOf(expression.left), ...namesOf(expression.right)]
  }
}

type Token = { readonly kind: 'symbol' | 'name' | 'word' | 'value'; readonly text: string }

const tokenPattern =
  /\s*(?:(?<symbol><>|>=|<=|[=<>()])|'(?<value>(?:[^']|'')*)'|"(?<name>[^"]+)"|(?<word>@?[A-Za-z_][A-Za-z0-9_]*))/uy
const operators: readonly string[] = ['=', '<>', '>', '>=', '<', '<='] satisfies TagOperator[]
const maxDepth = 64

/** Recursive descent: or < and < not < comparison. */
class Parser {
  readonly #tokens: readonly Token[]
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.#tokens = tokenize(text)
  }

  parse(): TagExpression {
    const expression = this.#or()
    if (this.#at < this.#tokens.length) fail('the end was expected')
    return expression
  }

  #or(): TagExpression {
    let left = this.#and()
    while (this.#takeWord('OR')) left = { kind: 'or', left, right: this.#and() }
    return left
  }

  #and(): TagExpression {
    let left = this.#not()
    while (this.#takeWord('AND')) left = { kind: 'and', left, right: this.#not() }
    return left
  }

  #not(): TagExpression {
    if (++this.#depth > maxDepth) fail('it is nested too deeply')
    const expression: TagExpression = this.#takeWord('NOT')
      ? { kind: 'not', operand: this.#not() }
      : this.#primary()
    this.#depth--
    return expression
  }

  #primary(): TagExpression {
    if (this.#peek()?.text !== '(' || this.#peek()?.kind !== 'symbol') return this.#comparison()
    this.#at++
    const inner = this.#or()
    const end = this.#next()
    if (end.kind !== 'symbol' || end.text !== ')') fail('a closing parenthesis was expected')
    return inner
  }

  #comparison(): TagExpression {
    const name = this.#next()
    if (name.kind !== 'name' && name.kind !== 'word') fail('a tag name was expected')
    const operator = this.#next()
    if (operator.kind !== 'symbol' || !isOperator(operator.text)) fail('an operator was expected')
    const value = this.#next()
    if (value.kind !== 'value') fail("a value in '' was expected")
    return { kind: 'comparison', name: name.text, operator: operator.text, value: value.text }
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at]
  }

  #next(): Token {
    const token = this.#tokens[this.#at++]
    return token ?? fail('it ends too early')
  }

  #takeWord(word: string): boolean {
    const token = this.#peek()
    if (token?.kind !== 'word' || token.text.toUpperCase() !== word) return false
    this.#at++
    return true
  }
}

function tokenize(text: string): readonly Token[] {
  const tokens: Token[] = []
  const end = text.trimEnd().length
  tokenPattern.lastIndex = 0
  while (tokenPattern.lastIndex < end) {
    const at = tokenPattern.lastIndex
    const groups = tokenPattern.exec(text)?.groups
    if (groups === undefined) return fail(`character ${at + 1} was not expected`)
    tokens.push(tokenOf(groups))
  }
  return tokens
}

function tokenOf(groups: Readonly<Record<string, string | undefined>>): Token {
  const { symbol, value, name, word } = groups
  if (symbol !== undefined) return { kind: 'symbol', text: symbol }
  if (value !== undefined) return { kind: 'value', text: value.replaceAll("''", "'") }
  if (name !== undefined) return { kind: 'name', text: name }
  return { kind: 'word', text: word ?? '' }
}

function checkSearch(expression: TagExpression): void {
  switch (expression.kind) {
    case 'and':
      checkSearch(expression.left)
      checkSearch(expression.right)
      return
    case 'comparison':
      if (expression.operator === '<>') fail('<> belongs to conditions')
      if (expression.name === '@container' && expression.operator !== '=')
        fail('@container is compared by = only')
      return
    case 'or':
    case 'not':
      fail(`${expression.kind.toUpperCase()} belongs to conditions`)
  }
}

function compare(
  held: string,
  { operator, value }: Extract<TagExpression, { kind: 'comparison' }>,
): boolean {
  switch (operator) {
    case '=':
      return held === value
    case '<>':
      return held !== value
    case '>':
      return held > value
    case '>=':
      return held >= value
    case '<':
      return held < value
    case '<=':
      return held <= value
  }
}

function isOperator(text: string): text is TagOperator {
  return operators.includes(text)
}

function fail(reason: string): never {
  throw new TagExpressionError(`Error parsing query: ${reason}.`)
}
