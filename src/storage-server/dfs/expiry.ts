import type { StorageAccount } from '../model/account.ts'
import { invalidHeader, missingHeader } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'

/**
 * When a file expires, from `x-ms-expiry-option` and `x-ms-expiry-time`: milliseconds since the
 * epoch, `never`, or `undefined` without the headers. Throws 400.
 */
export function readExpiry(
  { headers }: StorageRequest,
  account: StorageAccount,
  createdMs: number,
): number | 'never' | undefined {
  const option = headers['x-ms-expiry-option']
  if (option === undefined) {
    return undefined
  }
  const nowMs = account.nowMs()
  switch (option.toLowerCase()) {
    case 'neverexpire':
      return 'never'
    case 'relativetonow':
      return nowMs + milliseconds(headers['x-ms-expiry-time'])
    case 'relativetocreation':
      return inFuture(createdMs + milliseconds(headers['x-ms-expiry-time']), nowMs)
    case 'absolute':
      return inFuture(dateOf(headers['x-ms-expiry-time']), nowMs)
    default:
      throw invalidHeader('x-ms-expiry-option', option)
  }
}

function milliseconds(text: string | undefined): number {
  if (text === undefined) {
    throw missingHeader('x-ms-expiry-time')
  }
  if (!/^\d{1,15}$/.test(text) || Number(text) === 0) {
    throw invalidHeader('x-ms-expiry-time', text)
  }
  return Number(text)
}

function dateOf(text: string | undefined): number {
  if (text === undefined) {
    throw missingHeader('x-ms-expiry-time')
  }
  const timeMs = Date.parse(text)
  if (Number.isNaN(timeMs)) {
    throw invalidHeader('x-ms-expiry-time', text)
  }
  return timeMs
}

function inFuture(timeMs: number, nowMs: number): number {
  if (timeMs <= nowMs) {
    throw invalidHeader('x-ms-expiry-time', new Date(timeMs).toUTCString())
  }
  return timeMs
}
