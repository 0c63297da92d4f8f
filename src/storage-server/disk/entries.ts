import type { AccountSettings } from '../model/account.ts'
import type { ContainerProperties } from '../model/container.ts'
import type { StateJson } from './state-codec.ts'

/** The properties of a container in JSON: its policies are a list of pairs. */
export interface ContainerJson extends Omit<ContainerProperties, 'policies'> {
  readonly policies: readonly (readonly [
    string,
    ContainerProperties['policies'] extends ReadonlyMap<string, infer P> ? P : never,
  ])[]
}

/**
 * What journals and snapshots are made of. Containers have numbers of their own, so that what
 * belongs to one is not given to a later one of the same name.
 */
export type Entry =
  | readonly ['account', settings: AccountSettings]
  | readonly ['removeAccount', name: string]
  | readonly ['container', account: string, id: number, properties: ContainerJson]
  | readonly ['removeContainer', id: number]
  | readonly ['retireContainer', id: number, version: string]
  | readonly ['restoreContainer', id: number, version: string, name: string]
  | readonly ['put', container: number, state: StateJson]
  | readonly ['remove', container: number, name: string]
  | readonly ['rename', container: number, from: string, to: string]
  | readonly ['note', name: string, value: unknown]
  /** The last of a snapshot. */
  | readonly ['end']

/** A container's properties as JSON. */
export function encodeContainer(properties: ContainerProperties): ContainerJson {
  return { ...properties, policies: [...properties.policies] }
}

/** The properties that `encodeContainer` made JSON of. */
export function decodeContainer(json: ContainerJson): ContainerProperties {
  return { ...json, policies: new Map(json.policies) }
}
