import type { Verb } from '../verb.ts'
import { checkWrite, readConditions } from '../wire/conditions.ts'
import { requireEmptyBody } from './create-path.ts'
import { changedHeaders, needOnPath, queryFlag, subjectOf } from './target.ts'
import { flushTo, leaseForWrite, readPosition, uploadHeaders, writableFile } from './upload.ts'

/** Path - Update, `action=flush`: what was appended becomes part of the file. */
export const flushData: Verb = {
  name: 'Path - Flush',
  matches: ({ face, method, query }) =>
    face === 'dfs' && method === 'PATCH' && query.get('action') === 'flush',
  needs: (request) => needOnPath(request, 'write'),
  run: (context) => {
    const { request } = context
    const position = readPosition(context)
    const retain = queryFlag(request, 'retainUncommittedData') ?? false
    // Only subscribers to events could tell the last flush from the others.
    queryFlag(request, 'close')
    requireEmptyBody(context)
    const target = writableFile(context, 'InvalidFlushOperation')
    checkWrite(readConditions(request), subjectOf(target.record), 'PathAlreadyExists')
    const state = { ...target.state, lease: leaseForWrite(context, target) }
    const record = flushTo(context, { ...target, state }, { position, retain })
    const headers = { ...changedHeaders(record), ...uploadHeaders(context), 'content-length': '0' }
    return { status: 200, headers }
  },
}
