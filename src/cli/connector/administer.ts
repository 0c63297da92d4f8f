import { readFile } from 'node:fs/promises'
import { parse } from 'yaml'
import { z } from 'zod'
import { isFileSystemError } from '../../errors.ts'
import type { CliContext } from '../context.ts'
import { ExitStatus, exitCodes } from '../exit-codes.ts'
import { formatTable, printable } from '../output.ts'
import { usageError } from '../usage.ts'
import { type AdminApi, type AdminFlags, readText, withAdminApi } from './admin-api.ts'

const connector = z.looseObject({
  name: z.string(),
  revision: z.number(),
  declared: z.boolean(),
  auth: z.looseObject({ method: z.string() }),
  resources: z.array(
    z.looseObject({
      type: z.string(),
      id: z.string(),
      permissions: z.array(z.string()).optional(),
    }),
  ),
})
const policies = z.object({
  policies: z.array(
    z.looseObject({
      declared: z.boolean(),
      policy: z.looseObject({
        name: z.string(),
        caller: z.string(),
        connector: z.string(),
        permissions: z.array(z.string()).optional(),
        resource: z.looseObject({ id: z.string().optional() }).optional(),
      }),
    }),
  ),
})
const key = z.looseObject({
  name: z.string(),
  caller: z.string(),
  admin: z.boolean(),
  createdAt: z.string(),
  expiresAt: z.string().optional(),
})
const auditPage = z.object({
  records: z.array(
    z.looseObject({
      time: z.string(),
      action: z.string(),
      decision: z.string(),
      caller: z.string().optional(),
      reason: z.string().optional(),
      subject: z.string().optional(),
      auditId: z.string(),
    }),
  ),
})

/** Flags that describe a connector, where no file does. */
export interface AddFlags extends AdminFlags {
  readonly file?: string
  readonly auth?: string
  readonly tenantId?: string
  readonly clientId?: string
  readonly secretFile?: string
  readonly resource?: readonly string[]
  readonly permissions?: string
}

/** Registers a connector, from a file or from flags, and prints it. */
export async function addConnector(
  name: string | undefined,
  flags: AddFlags,
  context: CliContext,
): Promise<void> {
  const body = flags.file === undefined ? await described(name, flags) : await fromFile(flags.file)
  await asked(flags, context, 'POST', '/v1/connectors', body, (answer) => show(answer))
}

export async function listConnectors(flags: AdminFlags, context: CliContext): Promise<void> {
  await asked(flags, context, 'GET', '/v1/connectors', undefined, (answer) =>
    table(
      ['NAME', 'AUTH', 'REVISION', 'FROM', 'RESOURCES'],
      z
        .object({ connectors: z.array(connector) })
        .parse(answer)
        .connectors.map((each) => [
          each.name,
          each.auth.method,
          String(each.revision),
          each.declared ? 'file' : 'state',
          each.resources.map(({ id }) => id).join(' '),
        ]),
    ),
  )
}

export async function showConnector(
  name: string,
  flags: AdminFlags,
  context: CliContext,
): Promise<void> {
  await asked(flags, context, 'GET', `/v1/connectors/${encodeURIComponent(name)}`, undefined, show)
}

/** Removes what a path names: a connector, a policy or a key. */
export async function removeObject(
  kind: 'connectors' | 'keys' | 'policies',
  name: string,
  flags: AdminFlags,
  context: CliContext,
): Promise<void> {
  const path = `/v1/${kind}/${encodeURIComponent(name)}`
  await asked(flags, context, 'DELETE', path, undefined, () => `${name} is removed`)
}

export async function listPolicies(flags: AdminFlags, context: CliContext): Promise<void> {
  await asked(flags, context, 'GET', '/v1/policies', undefined, (answer) =>
    table(
      ['NAME', 'CALLER', 'CONNECTOR', 'RESOURCE', 'PERMISSIONS', 'FROM'],
      policies
        .parse(answer)
        .policies.map(({ policy, declared }) => [
          policy.name,
          policy.caller,
          policy.connector,
          policy.resource?.id ?? 'all',
          policy.permissions?.join(',') ?? 'all',
          declared ? 'file' : 'state',
        ]),
    ),
  )
}

interface GrantFlags extends AdminFlags {
  readonly caller: string
  readonly connector: string
  readonly resource?: string
  readonly permissions?: string
  readonly maxTtl?: string
}

/** Lets a caller use a connector. */
export async function addPolicy(
  name: string,
  flags: GrantFlags,
  context: CliContext,
): Promise<void> {
  const { caller, resource, maxTtl } = flags
  const body = {
    name,
    caller,
    connector: flags.connector,
    resource: resource === undefined ? undefined : { id: resource },
    permissions: listed(flags.permissions),
    maxTtlSeconds: maxTtl === undefined ? undefined : Number(maxTtl),
  }
  await withAdminApi(flags, context, async (api) => {
    const answer = await api.ask('POST', '/v1/policies', body)
    if (flags.json === true) await context.stdout.json(answer)
    else await context.stdout.line(`${caller} may use ${flags.connector}`)
    if (await isThere(api, flags.connector)) return
    context.stderr.write(
      `abfs: there is no connector '${flags.connector}' yet: nothing is granted until it is added\n`,
    )
  })
}

async function isThere(api: AdminApi, name: string): Promise<boolean> {
  try {
    await api.ask('GET', `/v1/connectors/${encodeURIComponent(name)}`)
    return true
  } catch (error) {
    if (isFileSystemError(error) && error.code === 'ENOENT') return false
    throw error
  }
}

interface TestFlags extends AdminFlags {
  readonly caller: string
  readonly account: string
  readonly container?: string
  readonly prefix?: string
  readonly permissions: string
  readonly service: string
}

/** Prints what a caller would be answered, and why; an `ExitStatus` says that it would not be a grant. */
export async function testPolicy(flags: TestFlags, context: CliContext): Promise<void> {
  const { account, service, container, prefix } = flags
  const scope = { account, service, container, prefix, permissions: listed(flags.permissions) }
  const body = { caller: flags.caller, request: { scope } }
  const answer = await asked(flags, context, 'POST', '/v1/policies:test', body, (told) =>
    facts(Object.entries(factsOf.parse(told))),
  )
  if (factsOf.parse(answer)['decision'] !== 'grant') throw new ExitStatus(exitCodes.wouldDeny)
}

const factsOf = z.record(z.string(), z.unknown())

interface KeyFlags extends AdminFlags {
  readonly caller: string
  readonly admin?: true
  readonly expiresIn?: string
}

/** Makes a key for a caller and prints it: it is not shown again. */
export async function createKey(flags: KeyFlags, context: CliContext): Promise<void> {
  const { caller, admin = false, expiresIn } = flags
  const expiresInSeconds = expiresIn === undefined ? undefined : Number(expiresIn)
  await asked(flags, context, 'POST', '/v1/keys', { caller, admin, expiresInSeconds }, newKey)
}

/** Makes a new key for the caller of an old one, which ends after an overlap. */
export async function rotateKey(
  name: string,
  flags: AdminFlags & { readonly overlap: string },
  context: CliContext,
): Promise<void> {
  const path = `/v1/keys/${encodeURIComponent(name)}:rotate`
  await asked(flags, context, 'POST', path, { overlapSeconds: Number(flags.overlap) }, newKey)
}

export async function listKeys(flags: AdminFlags, context: CliContext): Promise<void> {
  await asked(flags, context, 'GET', '/v1/keys', undefined, (answer) =>
    table(
      ['KEY', 'CALLER', 'ADMIN', 'CREATED', 'EXPIRES'],
      z
        .object({ keys: z.array(key) })
        .parse(answer)
        .keys.map((each) => [
          each.name,
          each.caller,
          each.admin ? 'yes' : 'no',
          each.createdAt,
          each.expiresAt ?? '-',
        ]),
    ),
  )
}

interface AuditFlags extends AdminFlags {
  readonly caller?: string
  readonly action?: string
  readonly decision?: string
  readonly since?: string
  readonly limit: string
}

/** Prints decisions, newest first. */
export async function findAudit(flags: AuditFlags, context: CliContext): Promise<void> {
  const { caller, action, decision, since, limit } = flags
  const given = Object.entries({ caller, action, decision, since, limit })
  const query = new URLSearchParams()
  for (const [name, value] of given) if (value !== undefined) query.set(name, value)
  await asked(flags, context, 'GET', `/v1/audit?${query}`, undefined, (answer) =>
    table(
      ['TIME', 'ACTION', 'DECISION', 'CALLER', 'WHY', 'AUDIT'],
      auditPage
        .parse(answer)
        .records.map((each) => [
          each.time,
          each.action,
          each.decision,
          each.caller ?? '-',
          each.reason ?? each.subject ?? '-',
          each.auditId,
        ]),
    ),
  )
}

/** Asks, and prints the answer as JSON or as `format` makes it. */
async function asked(
  flags: AdminFlags,
  context: CliContext,
  method: 'DELETE' | 'GET' | 'POST',
  path: string,
  body: unknown,
  format: (answer: unknown) => string,
): Promise<unknown> {
  const answer = await withAdminApi(flags, context, (api) => api.ask(method, path, body))
  if (flags.json === true) await context.stdout.json(answer ?? {})
  else await context.stdout.line(format(answer))
  return answer
}

async function described(name: string | undefined, flags: AddFlags): Promise<unknown> {
  const { auth, tenantId, clientId, secretFile, resource = [] } = flags
  if (name === undefined || auth === undefined || resource.length === 0) {
    throw usageError('describe the connector with --file, or with NAME, --auth and --resource')
  }
  const secret = secretFile === undefined ? undefined : (await readText(secretFile)).trim()
  const field = secretFields[auth]
  if (secret !== undefined && field === undefined) throw usageError(`'${auth}' takes no secret`)
  const permissions = listed(flags.permissions)
  return {
    name,
    auth: { method: auth, tenantId, clientId, ...(field === undefined ? {} : { [field]: secret }) },
    resources: resource.map((id) => resourceOf(id, permissions)),
  }
}

const secretFields: Readonly<Record<string, string>> = {
  'service-principal': 'clientSecret',
  certificate: 'certificatePem',
  federated: 'assertion',
}

/** The type of a resource shows in its id. */
function resourceOf(id: string, permissions: readonly string[] | undefined): object {
  if (/^abfss:|\.blob\./.test(id)) {
    return { type: 'blob-container', id, permissions: permissions ?? ['read', 'list'] }
  }
  if (/\.azurecr\.[a-z]+$/.test(id)) return { type: 'docker-registry', id, repositories: ['*'] }
  return { type: /^[a-z]+:/.test(id) ? 'azure-generic' : 'kubernetes-cluster', id }
}

async function fromFile(file: string): Promise<unknown> {
  try {
    return parse(await readFile(file, 'utf8'))
  } catch (cause) {
    throw usageError(`--file: '${file}' is no readable YAML or JSON`, cause)
  }
}

function show(answer: unknown): string {
  const { name, auth, revision, declared, resources } = connector.parse(answer)
  const rows: [string, unknown][] = [
    ['name', name],
    ['revision', revision],
    ['from', declared ? 'file' : 'state'],
    ...Object.entries(auth),
    ...resources.map((each): [string, unknown] => [
      each.type,
      [each.id, each.permissions?.join(',') ?? ''].join('  ').trimEnd(),
    ]),
  ]
  return facts(rows)
}

function newKey(answer: unknown): string {
  const made = key.extend({ key: z.string() }).parse(answer)
  return `${made.key}\n${made.name} of ${made.caller}: the line above is not shown again`
}

function facts(rows: readonly (readonly [string, unknown])[]): string {
  const cells = rows.map(([name, value]) => [name, printable(textOf(value))])
  return formatTable(cells).join('\n')
}

function textOf(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return formatTable([head, ...rows.map((row) => row.map(printable))]).join('\n')
}

function listed(text: string | undefined): readonly string[] | undefined {
  return text?.split(',').map((each) => each.trim())
}
