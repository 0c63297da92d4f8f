import { amendCurrent } from '../model/changes.ts'
import type { Verb } from '../verb.ts'
import { readContentHeaders } from './new-path.ts'
import { readProperties } from './properties.ts'
import { changedHeaders, changedTarget, needOnPath, stamp } from './target.ts'

/** Path - Update, `action=setProperties`: metadata and content headers. */
export const setPathProperties: Verb = {
  name: 'Path - Set Properties',
  matches: ({ face, method, query }) =>
    face === 'dfs' && method === 'PATCH' && query.get('action') === 'setProperties',
  needs: (request) => needOnPath(request, 'write'),
  run: (context) => {
    const { request } = context
    const { place, name, record } = changedTarget(context)
    const metadata = readProperties(request) ?? record.metadata
    const changed = { ...record, ...stamp(place), metadata }
    const headers = readContentHeaders(request)
    const after =
      changed.kind === 'blob'
        ? { ...changed, headers: { ...changed.headers, ...headers } }
        : changed
    return { status: 200, headers: changedHeaders(amendCurrent(place, name, after)) }
  },
}
