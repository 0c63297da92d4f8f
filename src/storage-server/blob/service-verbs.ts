import type { AccountSettings } from '../model/account.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { httpDate } from '../wire/http-date.ts'
import { childOf, childText, parseXml, type XmlElement } from '../wire/parse-xml.ts'
import { refusal } from '../wire/refusals.ts'
import type { StorageRequest } from '../wire/request.ts'
import { element, xmlDeclaration, xmlText } from '../wire/xml.ts'

/** Service properties and statistics, account information, user delegation keys. */
export const serviceVerbs: readonly Verb[] = [
  {
    name: 'GetAccountInfo',
    matches: ({ method, query }) =>
      (method === 'GET' || method === 'HEAD') &&
      query.get('restype') === 'account' &&
      query.get('comp') === 'properties',
    needs: ({ container }) => [{ right: 'account', resource: 'service', container }],
    run: accountInfo,
  },
  {
    name: 'GetBlobServiceProperties',
    matches: (request) => isService(request, 'GET', 'properties'),
    needs: () => [{ right: 'read', resource: 'service' }],
    run: ({ account }) => xmlAnswer(propertiesDocument(account.settings)),
  },
  {
    name: 'SetBlobServiceProperties',
    matches: (request) => isService(request, 'PUT', 'properties'),
    needs: () => [{ right: 'write', resource: 'service' }],
    run: setProperties,
  },
  {
    name: 'GetBlobServiceStats',
    matches: (request) => isService(request, 'GET', 'stats'),
    needs: () => [{ right: 'read', resource: 'service' }],
    run: stats,
  },
  {
    name: 'GetUserDelegationKey',
    matches: (request) => isService(request, 'POST', 'userdelegationkey'),
    needs: () => [{ right: 'delegationKey', resource: 'service' }],
    run: delegationKey,
  },
]

function isService({ method, container, query }: StorageRequest, wanted: string, comp: string) {
  const ofService = container === undefined && query.get('restype') === 'service'
  return method === wanted && ofService && query.get('comp') === comp
}

function accountInfo({ account }: VerbContext): StorageAnswer {
  return {
    status: 200,
    headers: {
      'x-ms-sku-name': 'Standard_LRS',
      'x-ms-account-kind': 'StorageV2',
      'x-ms-is-hns-enabled': String(account.settings.hierarchical),
    },
  }
}

function stats({ account }: VerbContext): StorageAnswer {
  const time = element('LastSyncTime', httpDate(account.nowMs()))
  return xmlAnswer(
    '<StorageServiceStats><GeoReplication><Status>live</Status>' +
      `${time}</GeoReplication></StorageServiceStats>`,
  )
}

async function delegationKey({ request, caller }: VerbContext): Promise<StorageAnswer> {
  if (caller.kind !== 'bearer') throw refusal('AuthenticationFailed')
  const info = parseXml(await request.body())
  if (info.name !== 'KeyInfo') throw refusal('InvalidXmlDocument')
  const key = caller.delegationKey({
    startMs: readTime(info, 'Start'),
    expiresMs: readTime(info, 'Expiry') ?? Number.NaN,
    version: request.version,
    delegatedUserTenantId: childText(info, 'DelegatedUserTid'),
  })
  const inner = [
    element('SignedOid', key.signedObjectId),
    element('SignedTid', key.signedTenantId),
    element('SignedStart', key.signedStart),
    element('SignedExpiry', key.signedExpiry),
    element('SignedService', key.signedService),
    element('SignedVersion', key.signedVersion),
    element('SignedDelegatedUserTid', key.signedDelegatedUserTenantId),
    element('Value', key.value),
  ].join('')
  return xmlAnswer(`<UserDelegationKey>${inner}</UserDelegationKey>`)
}

function readTime(info: XmlElement, name: string): number | undefined {
  const text = childText(info, name)
  if (text === undefined || text === '') return undefined
  const ms = Date.parse(text)
  if (!Number.isNaN(ms)) return ms
  throw refusal('InvalidXmlNodeValue', { details: { XmlNodeName: name, XmlNodeValue: text } })
}

const keptElements = ['Logging', 'HourMetrics', 'MinuteMetrics', 'Cors', 'StaticWebsite'] as const
const defaults: Readonly<Record<string, string>> = {
  Logging:
    '<Logging><Version>1.0</Version><Read>false</Read><Write>false</Write><Delete>false</Delete>' +
    '<RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></Logging>',
  HourMetrics: metrics('HourMetrics'),
  MinuteMetrics: metrics('MinuteMetrics'),
  Cors: '<Cors />',
  StaticWebsite: '<StaticWebsite><Enabled>false</Enabled></StaticWebsite>',
}

function metrics(name: string): string {
  return (
    `<${name}><Version>1.0</Version><Enabled>false</Enabled>` +
    `<RetentionPolicy><Enabled>false</Enabled></RetentionPolicy></${name}>`
  )
}

function propertiesDocument(settings: AccountSettings): string {
  const kept = keptOf(settings)
  const elements = keptElements.map((name) => kept.get(name) ?? defaults[name] ?? '')
  const { softDeleteDays } = settings
  const retention =
    softDeleteDays === undefined
      ? '<Enabled>false</Enabled>'
      : `<Enabled>true</Enabled>${element('Days', softDeleteDays)}`
  return (
    `<StorageServiceProperties>${elements.join('')}` +
    `<DeleteRetentionPolicy>${retention}</DeleteRetentionPolicy></StorageServiceProperties>`
  )
}

/** What is absent from the document stays as it is. */
async function setProperties({ request, account }: VerbContext): Promise<StorageAnswer> {
  const document = parseXml(await request.body())
  if (document.name !== 'StorageServiceProperties') throw refusal('InvalidXmlDocument')
  const kept = keptOf(account.settings)
  for (const child of document.children) {
    if (defaults[child.name] !== undefined) kept.set(child.name, writeElement(child))
  }
  const serviceProperties = [...kept.values()].join('')
  const retention = childOf(document, 'DeleteRetentionPolicy')
  const { softDeleteDays } = account.settings
  account.changeSettings({
    serviceProperties,
    softDeleteDays: retention === undefined ? softDeleteDays : readRetention(retention),
  })
  return { status: 202 }
}

function keptOf({ serviceProperties = '' }: AccountSettings): Map<string, string> {
  const document = parseXml(Buffer.from(`<All>${serviceProperties}</All>`))
  return new Map(document.children.map((child) => [child.name, writeElement(child)]))
}

function readRetention(policy: XmlElement): number | undefined {
  if (childText(policy, 'Enabled')?.toLowerCase() !== 'true') return undefined
  const days = Number(childText(policy, 'Days'))
  if (Number.isInteger(days) && days >= 1 && days <= 365) return days
  throw refusal('InvalidXmlNodeValue', {
    details: { XmlNodeName: 'Days', XmlNodeValue: childText(policy, 'Days') ?? '' },
  })
}

function writeElement({ name, text, children }: XmlElement): string {
  const inner = children.length > 0 ? children.map(writeElement).join('') : xmlText(text)
  return `<${name}>${inner}</${name}>`
}

function xmlAnswer(body: string): StorageAnswer {
  return {
    status: 200,
    headers: { 'content-type': 'application/xml' },
    body: `${xmlDeclaration}${body}`,
  }
}
