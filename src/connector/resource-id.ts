import { isContainerName, prefixFault } from './canonical-scope.ts'
import { ConnectorError } from './connector-error.ts'
import { isAudience, isClusterName, isRegistryName, isStorageAudience } from './token-target.ts'

/** The types of resources, by the names that ZenML gave them. */
export const resourceTypes = [
  'azure-generic',
  'blob-container',
  'kubernetes-cluster',
  'docker-registry',
] as const
export type ResourceType = (typeof resourceTypes)[number]

/** What an id names; names that are absent are to be looked up. */
export type ResourceName =
  | { readonly type: 'azure-generic'; readonly audience: string }
  | {
      readonly type: 'blob-container'
      readonly account: string | undefined
      readonly container: string
      readonly prefix: string | undefined
    }
  | {
      readonly type: 'kubernetes-cluster'
      readonly group: string | undefined
      readonly name: string
    }
  | { readonly type: 'docker-registry'; readonly registry: string }

/**
 * Reads an id in any spelling: `az://c`, `abfs://c`, `c`, `abfss://c@account.dfs.SUFFIX/path`;
 * `[group/]cluster`; `[https://]name[.azurecr.io]`; an audience with or without `/.default`. Throws
 * `invalid_request`, reason `path_invalid`, for any other.
 */
export function parseResourceId(type: ResourceType, id: string): ResourceName {
  const name = parsers[type](id.trim())
  if (name !== undefined) return name
  throw new ConnectorError('invalid_request', 'path_invalid', {
    detail: `the id names no ${type}`,
    hint: `expected ${spellings[type]}`,
  })
}

/** The one spelling of a name that is complete. */
export function formatResourceId(name: ResourceName, cloud: string): string {
  switch (name.type) {
    case 'azure-generic':
      return name.audience
    case 'docker-registry':
      return name.registry
    case 'kubernetes-cluster':
      return `${name.group === undefined ? '' : `${name.group}/`}${name.name}`.toLowerCase()
    case 'blob-container': {
      const { account, container, prefix } = name
      if (account === undefined) return `az://${container}`
      return `abfss://${container}@${account}.dfs.${cloud}${prefix === undefined ? '' : `/${prefix}`}`
    }
    default:
      return name satisfies never
  }
}

const spellings: Readonly<Record<ResourceType, string>> = {
  'azure-generic':
    'https://vault.azure.net, an api:// URL or an application id; storage has its own type',
  'blob-container':
    'az://CONTAINER, CONTAINER or abfss://CONTAINER@ACCOUNT.dfs.SUFFIX/PATH, decoded',
  'kubernetes-cluster': 'GROUP/CLUSTER or CLUSTER',
  'docker-registry': 'NAME.azurecr.io or NAME',
}

const parsers: Readonly<Record<ResourceType, (id: string) => ResourceName | undefined>> = {
  'azure-generic': (id) => {
    const audience = id.replace(/\/\.default$/, '')
    const isOurs = isAudience(audience) && !isStorageAudience(audience)
    return isOurs ? { type: 'azure-generic', audience } : undefined
  },
  'blob-container': blobContainer,
  'kubernetes-cluster': (id) => {
    const [first = '', second] = id.split('/')
    const group = second === undefined ? undefined : first
    const name = second ?? first
    const isName = isClusterName(`${group ?? 'any'}/${name}`) && id.split('/').length <= 2
    return isName ? { type: 'kubernetes-cluster', group, name } : undefined
  },
  'docker-registry': (id) => {
    const host = id
      .toLowerCase()
      .replace(/^https:\/\//, '')
      .replace(/\/$/, '')
    const registry = host.includes('.') ? host : `${host}.azurecr.io`
    return isRegistryName(registry) ? { type: 'docker-registry', registry } : undefined
  },
}

function blobContainer(id: string): ResourceName | undefined {
  const full =
    /^(?:abfss?|az):\/\/([^@/]+)@([a-z0-9]{3,24})\.(?:dfs|blob)\.[a-z0-9.-]+(?:\/(.*))?$/s.exec(id)
  const short = /^(?:(?:abfss?|az):\/\/)?([^@/:]+)(?:\/(.*))?$/s.exec(id)
  const [container = '', account, path = ''] =
    full === null ? [short?.[1], undefined, short?.[2]] : full.slice(1)
  const prefix = path.replace(/\/$/, '')
  if (!isContainerName(container)) return undefined
  if (prefix !== '' && prefixFault(prefix) !== undefined) return undefined
  return { type: 'blob-container', account, container, prefix: prefix === '' ? undefined : prefix }
}
