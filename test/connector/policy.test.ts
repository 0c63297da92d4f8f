import fc from 'fast-check'
import { test } from 'tap'
import { canonicalScope } from '../../src/connector/canonical-scope.ts'
import { decide, type Policy, type PolicyRule } from '../../src/connector/policy.ts'
import { permissionNames } from '../../src/connector/protocol.ts'
import type { Permission, Scope } from '../../src/credential/credential.ts'

const rule: PolicyRule = {
  caller: 'trainer',
  account: 'acct',
  container: 'data',
  permissions: ['read', 'list'],
  credentials: ['sas', 'bearer'],
  maxTtlMs: 3_600_000,
  enforceBearerTtl: false,
}
const rules: PolicyRule[] = [
  rule,
  { ...rule, container: 'out', permissions: ['read', 'list', 'create', 'write', 'delete'] },
  { ...rule, container: 'signed', credentials: ['sas'] },
  { ...rule, container: '$blobchangefeed', credentials: ['sas'] },
  {
    ...rule,
    caller: 'admin',
    container: '*',
    credentials: ['bearer'],
    permissions: ['list', 'create'],
  },
  { ...rule, caller: 'signer', container: '*', credentials: ['sas'] },
  { ...rule, account: 'lake', container: 'zone', prefix: 'teams/blue' },
  { ...rule, account: 'lake', container: 'tagged', permissions: ['tag'] },
]
const policy: Policy = {
  accounts: [
    { name: 'acct', hierarchicalNamespace: false },
    { name: 'lake', hierarchicalNamespace: true },
  ],
  rules,
}
const data: Scope = { account: 'acct', service: 'blob', container: 'data', permissions: ['read'] }

interface Row {
  title: string
  caller?: string
  scope: Scope
  kind?: 'sas' | 'bearer'
  outcome: string
}

const table: Row[] = [
  { title: 'what a rule lists', scope: data, outcome: 'sas' },
  { title: 'the other kind when it is asked for', scope: data, kind: 'bearer', outcome: 'bearer' },
  { title: 'the dfs service', scope: { ...data, service: 'dfs' }, outcome: 'sas' },
  {
    title: 'all permissions of a rule',
    scope: { ...data, permissions: ['list', 'read'] },
    outcome: 'sas',
  },
  {
    title: 'one permission too many',
    scope: { ...data, permissions: ['read', 'write'] },
    outcome: 'permission_not_granted',
  },
  { title: 'another caller', caller: 'stranger', scope: data, outcome: 'permission_not_granted' },
  {
    title: 'a name inherited by every object',
    caller: 'constructor',
    scope: data,
    outcome: 'permission_not_granted',
  },
  {
    title: 'another container',
    scope: { ...data, container: 'data2' },
    outcome: 'permission_not_granted',
  },
  {
    title: 'the sum of two rules',
    scope: { ...data, permissions: ['read', 'delete'] },
    outcome: 'permission_not_granted',
  },
  {
    title: 'another account',
    scope: { ...data, account: 'other' },
    outcome: 'permission_not_granted',
  },
  { title: 'a container named *', scope: { ...data, container: '*' }, outcome: 'path_invalid' },
  {
    title: 'a kind that the rule lacks',
    scope: { ...data, container: 'signed' },
    kind: 'bearer',
    outcome: 'credential_kind_not_granted',
  },
  {
    title: 'the account without a rule for it',
    scope: { ...data, container: undefined },
    outcome: 'permission_not_granted',
  },
  {
    title: 'the account with a bearer',
    caller: 'admin',
    scope: { ...data, container: undefined, permissions: ['list'] },
    outcome: 'bearer',
  },
  {
    title: 'the change feed beside the data, by a rule of its own',
    scope: { ...data, container: '$blobchangefeed', permissions: ['read', 'list'] },
    outcome: 'sas',
  },
  {
    title: 'the change feed where no rule names it',
    caller: 'stranger',
    scope: { ...data, container: '$blobchangefeed', permissions: ['read', 'list'] },
    outcome: 'permission_not_granted',
  },
  {
    title: 'the change feed by a rule for every container',
    caller: 'signer',
    scope: { ...data, container: '$blobchangefeed', permissions: ['read', 'list'] },
    outcome: 'sas',
  },
  {
    title: 'writing to the change feed',
    scope: { ...data, container: '$blobchangefeed', permissions: ['write'] },
    outcome: 'permission_not_granted',
  },
  {
    title: 'any container under *',
    caller: 'admin',
    scope: { ...data, container: 'any', permissions: ['list'] },
    outcome: 'bearer',
  },
  {
    title: 'the account with a signature',
    caller: 'signer',
    scope: { ...data, container: undefined },
    outcome: 'credential_kind_not_granted',
  },
  {
    title: 'a prefix of a flat account',
    scope: { ...data, prefix: 'runs' },
    outcome: 'scope_unenforceable',
  },
  {
    title: 'a prefix below the root, hierarchical',
    scope: { ...data, account: 'lake', container: 'zone', prefix: 'teams/blue/x' },
    outcome: 'sas',
  },
  {
    title: 'tags below a prefix',
    scope: { ...data, account: 'lake', container: 'tagged', prefix: 'x', permissions: ['tag'] },
    outcome: 'scope_unenforceable',
  },
  {
    title: 'a token for a prefix',
    scope: { ...data, account: 'lake', container: 'zone', prefix: 'teams/blue/x' },
    kind: 'bearer',
    outcome: 'credential_kind_not_granted',
  },
  {
    title: 'a sibling with the root as its beginning',
    scope: { ...data, account: 'lake', container: 'zone', prefix: 'teams/blue-2' },
    outcome: 'path_outside_root',
  },
  {
    title: 'the parent of the root',
    scope: { ...data, account: 'lake', container: 'zone', prefix: 'teams' },
    outcome: 'path_outside_root',
  },
  {
    title: 'the container above the root',
    scope: { ...data, account: 'lake', container: 'zone' },
    outcome: 'path_outside_root',
  },
]

for (const row of table) {
  test(`${row.title}: ${row.outcome}`, async (t) => {
    t.equal(outcomeOf(row), row.outcome)
  })
}

function outcomeOf(row: Omit<Row, 'title' | 'outcome'>): string {
  try {
    const scope = canonicalScope(row.scope)
    const outcome = decide(policy, { name: row.caller ?? 'trainer' }, { scope, kind: row.kind })
    return outcome.decision === 'grant' ? outcome.kind : outcome.reason
  } catch (error) {
    return (error as { reason: string }).reason
  }
}

test('a denial says what is missing and what to do, and not what exists', async (t) => {
  const known = decide(policy, { name: 'stranger' }, { scope: data })
  const unknown = decide(policy, { name: 'stranger' }, { scope: { ...data, account: 'nosuch' } })
  const partial = decide(
    policy,
    { name: 'trainer' },
    { scope: { ...data, permissions: ['read', 'write'] } },
  )

  t.match(known, { decision: 'denial', code: 'access_denied', hint: /policy rule/ })
  t.same(
    { ...known, detail: '' },
    { ...unknown, detail: '' },
    'an account that exists is refused like one that does not',
  )
  t.match(partial, { detail: /not granted write on container 'data'/ })
})

const refused: [string, string][] = [
  ['a/../b', 'dot segments'],
  ['..', 'dot segments'],
  ['a/./b', 'dot segments'],
  ['/a', 'a leading slash'],
  ['a/', 'a trailing slash'],
  ['a//b', 'an empty segment'],
  ['a%2fb', 'encoded slashes'],
  ['%2e%2e/b', 'encoded dots'],
  ['a\\b', 'backslashes'],
  ['a\u0000b', 'NUL'],
  ['a\u0085b', 'C1 controls'],
  ['a./b', 'a trailing dot'],
  ['a /b', 'a trailing space'],
  ['e\u0301', 'decomposed letters'],
  ['a\ud800', 'half a surrogate pair'],
]

for (const [prefix, what] of refused) {
  test(`a prefix with ${what} (${JSON.stringify(prefix)}) is refused as invalid`, async (t) => {
    t.equal(outcomeOf({ scope: { ...data, prefix } }), 'path_invalid')
  })
}

test('names that Azure does not know never reach a signature', async (t) => {
  for (const account of ['x.evil.com/', '169.254.169.254', 'Acct', 'ab', 'a'.repeat(25), '']) {
    t.equal(outcomeOf({ scope: { ...data, account } }), 'path_invalid', account)
  }
  for (const container of [
    '',
    'A',
    'a--b',
    '-ab',
    'ab-',
    'a/b',
    '..',
    'ab',
    '$other',
    'a'.repeat(64),
  ]) {
    t.equal(outcomeOf({ scope: { ...data, container } }), 'path_invalid', container)
  }
  t.throws(() => canonicalScope({ ...data, container: undefined, prefix: 'a' }))
  t.equal(canonicalScope({ ...data, container: '$web' }).container, '$web')
})

const permissions: Permission[] = [...permissionNames]
const segment = fc.constantFrom('a', 'b', 'ab', 'a-b', 'ü', '%')
const path = fc.array(segment, { maxLength: 4 }).map((segments) => segments.join('/'))
const someRule = fc.record({
  caller: fc.constantFrom('trainer', 'admin'),
  account: fc.constantFrom('acct', 'lake'),
  container: fc.constantFrom('data', 'out', '*'),
  prefix: fc.option(path, { nil: undefined }),
  permissions: fc.subarray(permissions, { minLength: 1 }),
  credentials: fc.subarray(['sas', 'bearer'] as const, { minLength: 1 }),
  maxTtlMs: fc.constant(60_000),
  enforceBearerTtl: fc.boolean(),
})
const someScope = fc.record({
  account: fc.constantFrom('acct', 'lake'),
  service: fc.constantFrom('blob' as const, 'dfs' as const),
  container: fc.constantFrom('data', 'out', undefined),
  permissions: fc.subarray(permissions, { minLength: 1 }),
})

test('a grant is exactly what was asked for and lies within one rule of the caller', async () => {
  fc.assert(
    fc.property(fc.array(someRule, { maxLength: 5 }), someScope, (random, asked) => {
      const scope = canonicalScope(asked)
      const outcome = decide({ ...policy, rules: random }, { name: 'trainer' }, { scope })
      const covered = random.some(
        (each) =>
          each.caller === 'trainer' &&
          each.account === scope.account &&
          (each.container === '*' || each.container === scope.container) &&
          (each.prefix ?? '') === '' &&
          scope.permissions.every((permission) => each.permissions.includes(permission)) &&
          (scope.container !== undefined || each.credentials.includes('bearer')),
      )
      if (outcome.decision === 'denial') return !covered
      const account = scope.container === undefined
      return covered && outcome.scope === scope && (!account || outcome.kind === 'bearer')
    }),
  )
})

test('a prefix lies within a root only if its segments begin with the root’s', async () => {
  fc.assert(
    fc.property(path, path, (root, asked) => {
      fc.pre(root !== '')
      const below = { ...rule, account: 'lake', prefix: root }
      const scope = canonicalScope({ ...data, account: 'lake', prefix: asked })
      const outcome = decide({ ...policy, rules: [below] }, { name: 'trainer' }, { scope })
      const inside = root.split('/').every((name, index) => asked.split('/')[index] === name)
      if (outcome.decision === 'grant') return inside && outcome.scope.prefix === asked
      return !inside && outcome.reason === 'path_outside_root'
    }),
  )
})
