/**
 * Reads a finished signature as the storage service will, and asserts that it reaches exactly as far
 * as was granted. It shares no code with what signs: one mistake would have to be made twice.
 */
import { strict as assert } from 'node:assert'
import type { Scope } from '../credential/credential.ts'
import { sasPermissions } from './permission-letters.ts'

/** What a signature was meant to be. */
export interface IntendedReach {
  readonly scope: Scope
  readonly options: {
    readonly startsAtMs: number
    readonly expiresAtMs: number
    readonly correlationId?: string | undefined
    readonly blob?: boolean | undefined
  }
  readonly key: { readonly expiresAtMs: number }
}

/** Every field that a signature may have; others would widen or redirect it. */
const KNOWN = new Set(
  'sv spr st se skoid sktid skt ske sks skv scid sr sdd sp sig'.split(' ') as readonly string[],
)

/** Throws an `AssertionError`, without the signature, when `query` reaches further or elsewhere. */
export function assertReach(query: string, intended: IntendedReach): void {
  const fields = new URLSearchParams(query)
  const { scope, options, key } = intended
  for (const name of fields.keys()) {
    assert(KNOWN.has(name), `the signature has no field ${name}`)
    assert(fields.getAll(name).length === 1, `the signature has one ${name}`)
  }
  assertPlace(fields, scope.prefix, options.blob === true)
  assert(fields.get('sp') === sasPermissions(scope.permissions), 'it has the permissions granted')
  assert(fields.get('spr') === 'https', 'it is for https alone')
  assert((fields.get('scid') ?? undefined) === options.correlationId, 'it names its audit record')
  const endsAtMs = Date.parse(fields.get('se') ?? '')
  assert(endsAtMs <= options.expiresAtMs, 'the signature ends in time')
  assert(endsAtMs <= key.expiresAtMs, 'the signature ends before its key')
  assert(Date.parse(fields.get('st') ?? '') < endsAtMs, 'the signature begins before it ends')
}

function assertPlace(fields: URLSearchParams, prefix: string | undefined, isBlob: boolean): void {
  const resource = fields.get('sr')
  const depth = fields.get('sdd')
  if (prefix === undefined) {
    assert(resource === 'c' && depth === null, 'it is for the whole container, as granted')
    return
  }
  assert(prefix !== '' && !/(^|\/)\.{0,2}(\/|$)/.test(prefix), 'the path has plain segments')
  assert(!/%[0-9a-f]{2}/i.test(prefix), 'the path is decoded')
  if (isBlob) {
    assert(resource === 'b' && depth === null, 'it is for one blob')
    return
  }
  assert(resource === 'd', 'it is for a directory')
  assert(/^[1-9]\d*$/.test(depth ?? ''), 'the directory is not the root')
  // The service signs as many segments of the request's path as this says.
  assert(Number(depth) === 1 + (prefix.match(/\//g)?.length ?? 0), 'it is as deep as the path')
}
