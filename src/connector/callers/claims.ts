import type { JWTPayload } from 'jose'

/** Claims that a token must have, by JSON pointer: `/kubernetes.io/namespace`. */
export type ClaimRules = Readonly<Record<string, string | readonly string[]>>

/** Whether each claim is the text given, or one of those given, or a list that has one of them. */
export function hasClaims(payload: JWTPayload, rules: ClaimRules): boolean {
  return Object.entries(rules).every(([pointer, wanted]) => {
    const found = [claimAt(payload, pointer)].flat()
    return [wanted].flat().some((each) => found.includes(each))
  })
}

function claimAt(payload: JWTPayload, pointer: string): unknown {
  const names = pointer.split('/').slice(1)
  return names.reduce<unknown>((value, name) => {
    const key = name.replaceAll('~1', '/').replaceAll('~0', '~')
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined
  }, payload)
}
