import { shown } from '../expect-option.ts'

/** `TypeError` naming `option` when `word` is none of `words`: a word with a typing error must not mean a default. */
export function demandWord(option: string, word: unknown, words: readonly string[]): void {
  if (typeof word === 'string' && words.includes(word)) return
  throw new TypeError(`${option}: expected one of ${words.join(', ')}, got ${shown(word)}`)
}
