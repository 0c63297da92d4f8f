import type { StorageRequest } from '../wire/request.ts'
import { directoryAsked, segments } from './path-asked.ts'
import { authenticationFailed } from './refusal.ts'
import type { SasToken } from './sas-token.ts'

/*
 * The strings to sign of shared access signatures, by kind and `sv`. Each is a list of lines; a
 * field that was not sent is an empty line. Fields are taken as sent (decoded), so a changed
 * character changes the string.
 */

/** What a signature's `sv`, `sr` and the request make its holder sign. */
export function sasStringToSign(sas: SasToken, request: StorageRequest): string {
  switch (sas.kind) {
    case 'account':
      return accountString(request, sas.version)
    case 'service':
      return serviceString(sas, request)
    case 'userDelegation':
      return userDelegationString(sas, request)
  }
}

/** `/blob/account/container[/path]`, the path as far as the signature covers it. */
function canonicalName(sas: SasToken, request: StorageRequest): string {
  const container = `/blob/${request.account}/${request.container ?? ''}`
  if (sas.resource === 'c') return container
  const path = sas.resource === 'd' ? directoryOf(request, sas.depth ?? 0) : (request.path ?? '')
  return path === '' && sas.resource === 'd' ? container : `${container}/${path}`
}

function accountString(request: StorageRequest, version: string): string {
  const fields = ['sp', 'ss', 'srt', 'st', 'se', 'sip', 'spr', 'sv']
  if (version >= '2020-12-06') fields.push('ses')
  return `${[request.account, ...sent(request, fields)].join('\n')}\n`
}

function serviceString(sas: SasToken, request: StorageRequest): string {
  return [
    ...sent(request, ['sp', 'st', 'se']),
    canonicalName(sas, request),
    ...sent(request, ['si', 'sip', 'spr', 'sv']),
    ...resourceLines(sas, request),
    ...scopeLine(sas, request),
    ...overrideLines(request),
  ].join('\n')
}

function userDelegationString(sas: SasToken, request: StorageRequest): string {
  const { version } = sas
  const agents = version >= '2020-02-10' ? ['saoid', 'suoid', 'scid'] : []
  const users = version >= '2025-07-05' ? ['skdutid', 'sduoid'] : []
  return [
    ...sent(request, ['sp', 'st', 'se']),
    canonicalName(sas, request),
    ...sent(request, ['skoid', 'sktid', 'skt', 'ske', 'sks', 'skv', ...agents, ...users]),
    ...sent(request, ['sip', 'spr', 'sv']),
    ...resourceLines(sas, request),
    ...scopeLine(sas, request),
    ...boundLines(sas, request),
    ...overrideLines(request),
  ].join('\n')
}

// From 2018-11-09 on: what kind of resource, and which moment of it.
function resourceLines(sas: SasToken, request: StorageRequest): readonly string[] {
  if (sas.version < '2018-11-09') return []
  return [sas.resource ?? '', momentOf(sas, request)]
}

function momentOf(sas: SasToken, { query }: StorageRequest): string {
  if (sas.resource === 'bs') return query.get('snapshot') ?? ''
  if (sas.resource === 'bv') return query.get('versionid') ?? ''
  return ''
}

function scopeLine(sas: SasToken, request: StorageRequest): readonly string[] {
  return sas.version >= '2020-12-06' ? sent(request, ['ses']) : []
}

// From 2026-04-06 on: headers and parameters of the request that the signature is bound to.
function boundLines(sas: SasToken, request: StorageRequest): readonly string[] {
  if (sas.version < '2026-04-06') return []
  const headers = namesIn(request.query.get('srh'))
  const parameters = namesIn(request.query.get('srq'))
  return [
    headers.map((name) => `${name}:${request.headers[name.toLowerCase()] ?? ''}\n`).join(''),
    parameters.map((name) => `\n${name}:${request.query.get(name.toLowerCase()) ?? ''}`).join(''),
  ]
}

function namesIn(list: string | undefined): readonly string[] {
  return list === undefined || list === '' ? [] : list.split(',')
}

function overrideLines(request: StorageRequest): readonly string[] {
  return sent(request, ['rscc', 'rscd', 'rsce', 'rscl', 'rsct'])
}

function sent({ query }: StorageRequest, names: readonly string[]): readonly string[] {
  return names.map((name) => query.get(name) ?? '')
}

function directoryOf(request: StorageRequest, depth: number): string {
  const path = segments(directoryAsked(request))
  if (path.length < depth) throw authenticationFailed('The request is not within the directory')
  return path.slice(0, depth).join('/')
}
