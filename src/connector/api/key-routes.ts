import { z } from 'zod'
import { makeApiKey } from '../callers/api-keys.ts'
import { callerNameSchema, type KeyBody } from '../model/connector.ts'
import type { StoredRecord } from '../model/record.ts'
import { callerRoute, type Route } from '../route.ts'
import { notFound } from '../state/record-store.ts'
import type { State } from '../state/state.ts'
import {
  type Administration,
  changeable,
  checkAdministrator,
  idParams,
  recorded,
  recordFields,
  recordView,
} from './administration.ts'

const keyView = z.object({
  ...recordFields,
  /** The public part of the key. */
  name: z.string(),
  caller: z.string(),
  admin: z.boolean(),
  expiresAt: z.string().optional(),
})
const newKey = keyView.extend({
  /** The key itself: it is not kept, and is never shown again. */
  key: z.string(),
})
const path = '/v1/keys'
const maxLifeSeconds = 10 * 365 * 86_400
const maxOverlapSeconds = 30 * 86_400

/** Callers' keys: list, create, rotate and revoke. For administrators. */
export function keyRoutes(desk: Administration): readonly Route[] {
  return [list(desk), create(desk), rotate(desk), revoke(desk)]
}

function list(desk: Administration): Route {
  return callerRoute({
    method: 'GET',
    path,
    operationId: 'listKeys',
    summary: 'The keys there are, without what is secret in them',
    action: 'keys.read',
    answers: {
      200: { description: 'By their public parts', body: z.object({ keys: z.array(keyView) }) },
    },
    handle: async ({ caller }) => {
      checkAdministrator(caller)
      const keys = await changeable(desk).keys.list()
      return { status: 200, body: { keys: keys.map(view) } }
    },
  })
}

function create(desk: Administration): Route {
  return callerRoute({
    method: 'POST',
    path,
    operationId: 'createKey',
    summary: 'A new key for a caller, shown once',
    action: 'keys.change',
    body: z.strictObject({
      caller: callerNameSchema,
      admin: z.boolean().default(false),
      expiresInSeconds: z.number().int().min(60).max(maxLifeSeconds).optional(),
    }),
    answers: { 201: { description: 'The key', body: newKey } },
    problems: ['conflict'],
    handle: async ({ caller, body }) => {
      const { expiresInSeconds, ...rest } = body
      const expiresAtMs =
        expiresInSeconds === undefined ? undefined : desk.clock.nowMs() + expiresInSeconds * 1000
      const made = await recorded(desk, caller, 'keys.change', async () =>
        added(changeable(desk), { ...rest, expiresAtMs }),
      )
      return { status: 201, body: made }
    },
  })
}

function rotate(desk: Administration): Route {
  return callerRoute({
    method: 'POST',
    path: `${path}/{id}:rotate`,
    operationId: 'rotateKey',
    summary: 'A new key for the same caller; the old one ends after an overlap',
    action: 'keys.change',
    params: idParams,
    body: z.strictObject({
      overlapSeconds: z.number().int().min(0).max(maxOverlapSeconds).default(86_400),
    }),
    answers: { 201: { description: 'The new key', body: newKey } },
    problems: ['conflict'],
    handle: async ({ caller, params, body }) => {
      const made = await recorded(desk, caller, 'keys.change', async () => {
        const state = changeable(desk)
        const old = await state.keys.get(params.id)
        if (old === undefined) throw notFound('key', params.id)
        const endMs = desk.clock.nowMs() + body.overlapSeconds * 1000
        const expiresAtMs = Math.min(endMs, old.body.expiresAtMs ?? Number.POSITIVE_INFINITY)
        const { caller: holder, admin } = old.body
        const made = await added(state, { caller: holder, admin })
        await state.keys.change(old.id, undefined, (was) => ({ body: { ...was, expiresAtMs } }))
        return { ...made, subject: `${made.subject} for ${old.body.name}` }
      })
      return { status: 201, body: made }
    },
  })
}

function revoke(desk: Administration): Route {
  return callerRoute({
    method: 'DELETE',
    path: `${path}/{id}`,
    operationId: 'revokeKey',
    summary: 'Revoke a key at once',
    action: 'keys.change',
    params: idParams,
    answers: { 204: { description: 'It is good for nothing' } },
    problems: ['conflict'],
    handle: async ({ caller, params }) => {
      await recorded(desk, caller, 'keys.change', async () => {
        const { body } = await changeable(desk).keys.remove(params.id, undefined)
        return { result: undefined, subject: `key/${body.name} revoked` }
      })
      return { status: 204 }
    },
  })
}

async function added(
  state: State,
  fields: Pick<KeyBody, 'caller' | 'admin' | 'expiresAtMs'>,
): Promise<{ readonly result: z.input<typeof newKey>; readonly subject: string }> {
  const { name, key, hash } = await makeApiKey()
  const record = await state.keys.add({ name, hash, ...fields })
  const subject = `key/${name} of ${fields.caller}`
  return { result: { ...view(record), key }, subject }
}

function view(record: StoredRecord<KeyBody>): z.input<typeof keyView> {
  const { name, caller, admin, expiresAtMs } = record.body
  return {
    ...recordView(record),
    name,
    caller,
    admin,
    ...(expiresAtMs === undefined ? {} : { expiresAt: new Date(expiresAtMs).toISOString() }),
  }
}
