import type { Verb } from '../verb.ts'
import { refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { needOnPath } from './target.ts'

/** Verbs of Azure that this server knows and refuses by name: 501 `FeatureNotSupported`. */
export const unsupportedVerbs: readonly Verb[] = [
  refused('QueryBlobContents', 'POST', 'query'),
  refused('SetBlobImmutabilityPolicy', 'PUT', 'immutabilityPolicies'),
  refused('DeleteBlobImmutabilityPolicy', 'DELETE', 'immutabilityPolicies'),
  refused('SetBlobLegalHold', 'PUT', 'legalhold'),
]

function refused(name: string, method: string, comp: string): Verb {
  return {
    name,
    matches: (request) => isOn(request, method, comp),
    needs: (request) => needOnPath(request, method === 'POST' ? 'read' : 'setImmutability'),
    run: () => {
      throw refusal('FeatureNotSupported', { details: { Feature: name } })
    },
  }
}

function isOn(request: StorageRequest, method: string, comp: string): boolean {
  const asked = request.query.get('comp')?.toLowerCase()
  return request.path !== undefined && request.method === method && asked === comp.toLowerCase()
}
