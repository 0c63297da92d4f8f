import type { AccessPolicy } from '../model/container.ts'
import type { Verb, VerbContext } from '../verb.ts'
import type { StorageAnswer } from '../wire/answer.ts'
import { checkBody } from '../wire/checksums.ts'
import { childOf, childText, parseXml, type XmlElement } from '../wire/parse-xml.ts'
import { refusal } from '../wire/refusals.ts'
import { element, xmlDeclaration } from '../wire/xml.ts'
import {
  changedContainer,
  changedHeaders,
  isContainer,
  needOnContainer,
  putProperties,
  readPublicAccess,
} from './container-verbs.ts'

const maxPolicies = 5
const maxIdChars = 64

/** Get and Set Container ACL: public access and stored access policies. */
export const containerPolicyVerbs: readonly Verb[] = [
  {
    name: 'GetContainerAcl',
    matches: (request) => isContainer(request, 'GET', 'acl') || isContainer(request, 'HEAD', 'acl'),
    needs: (request) => needOnContainer(request, 'permissions'),
    run: getPolicies,
  },
  {
    name: 'SetContainerAcl',
    matches: (request) => isContainer(request, 'PUT', 'acl'),
    needs: (request) => needOnContainer(request, 'permissions'),
    run: setPolicies,
  },
]

function getPolicies(context: VerbContext): StorageAnswer {
  const { properties } = context.container()
  let inner = ''
  for (const [id, policy] of properties.policies) {
    inner += `<SignedIdentifier>${element('Id', id)}${policyElement(policy)}</SignedIdentifier>`
  }
  return {
    status: 200,
    headers: {
      ...changedHeaders(properties),
      'content-type': 'application/xml',
      'x-ms-blob-public-access': properties.publicAccess,
    },
    body: `${xmlDeclaration}<SignedIdentifiers>${inner}</SignedIdentifiers>`,
  }
}

async function setPolicies(context: VerbContext): Promise<StorageAnswer> {
  const { request } = context
  const body = await request.body()
  checkBody(request, body)
  const policies = body.byteLength === 0 ? new Map() : readPolicies(parseXml(body))
  const publicAccess = readPublicAccess(context)
  const { properties } = changedContainer(context)
  const { publicAccess: _, ...rest } = properties
  const after = putProperties(context, { ...rest, policies, publicAccess })
  return { status: 200, headers: changedHeaders(after) }
}

function readPolicies(document: XmlElement): ReadonlyMap<string, AccessPolicy> {
  if (document.name !== 'SignedIdentifiers') throw refusal('InvalidXmlDocument')
  const policies = new Map<string, AccessPolicy>()
  for (const identifier of document.children) {
    const id = childText(identifier, 'Id') ?? ''
    if (identifier.name !== 'SignedIdentifier' || id === '' || id.length > maxIdChars) {
      throw refusal('InvalidXmlDocument')
    }
    policies.set(id, readPolicy(childOf(identifier, 'AccessPolicy')))
  }
  if (policies.size > maxPolicies) throw refusal('InvalidXmlDocument')
  return policies
}

function readPolicy(policy: XmlElement | undefined): AccessPolicy {
  const permissions = childText(policy, 'Permission')
  if (permissions !== undefined && !/^[a-z]*$/.test(permissions)) {
    throw invalidNode('Permission', permissions)
  }
  return {
    startsMs: readTime(policy, 'Start'),
    expiresMs: readTime(policy, 'Expiry'),
    permissions: permissions === '' ? undefined : permissions,
  }
}

function readTime(policy: XmlElement | undefined, name: string): number | undefined {
  const text = childText(policy, name)
  if (text === undefined || text === '') return undefined
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) throw invalidNode(name, text)
  return ms
}

function policyElement({ startsMs, expiresMs, permissions }: AccessPolicy): string {
  const times = `${element('Start', isoTime(startsMs))}${element('Expiry', isoTime(expiresMs))}`
  return `<AccessPolicy>${times}${element('Permission', permissions)}</AccessPolicy>`
}

function isoTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : `${new Date(ms).toISOString().slice(0, -1)}0000Z`
}

function invalidNode(name: string, value: string): Error {
  return refusal('InvalidXmlNodeValue', { details: { XmlNodeName: name, XmlNodeValue: value } })
}
