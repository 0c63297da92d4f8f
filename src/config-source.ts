import { resolve } from 'node:path'
import { FileSystemError } from './errors.ts'

/** Environment variables by name; `process.env` has this shape. */
export type Environment = Readonly<Record<string, string | undefined>>

/** A value and the name of the flag or variable that gave it. */
export interface Found {
  readonly value: string
  readonly origin: string
}

/** Looks values up, flags first, and remembers where each came from. */
export class Source {
  readonly origins: Record<string, string> = {}
  readonly #flags: Readonly<Record<string, string | undefined>>
  readonly #environment: Environment

  constructor(flags: Readonly<Record<string, string | undefined>>, environment: Environment) {
    this.#flags = flags
    this.#environment = environment
  }

  text(name: string, variables: readonly string[]): string | undefined {
    return this.find(name, variables)?.value
  }

  file(name: string, variables: readonly string[]): string | undefined {
    const found = this.find(name, variables)
    return found === undefined ? undefined : resolve(found.value)
  }

  url(name: string, variables: readonly string[]): URL | undefined {
    const found = this.find(name, variables)
    return found === undefined ? undefined : parseUrl(found)
  }

  find(name: string, variables: readonly string[]): Found | undefined {
    const found = this.flag(name) ?? this.variable(variables)
    this.origins[name] = found?.origin ?? 'default'
    return found
  }

  flag(name: string): Found | undefined {
    const value = this.#flags[name]
    return value === undefined ? undefined : { value, origin: flagName(name) }
  }

  variable(names: readonly string[]): Found | undefined {
    for (const name of names) {
      const value = this.#environment[name]
      if (value) return { value, origin: name }
    }
    return undefined
  }
}

function flagName(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
}

function parseUrl({ value, origin }: Found): URL {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || !['https:', 'http:'].includes(url.protocol)) {
    throw mistake(origin, `must be a URL such as https://host:port, not '${withoutQuery(value)}'`)
  }
  if (url.search !== '' || url.username !== '') {
    throw mistake(origin, 'must be a URL without user, password or query: no secrets in URLs')
  }
  return url
}

function withoutQuery(text: string): string {
  return text.replace(/\?.*$/s, '?…')
}

/** `EINVAL` for what the flag or variable `origin` says. */
export function mistake(origin: string, detail: string): FileSystemError {
  return new FileSystemError('EINVAL', 'config', { path: origin, detail: `${origin} ${detail}` })
}
