import type { Verb, VerbContext } from '../verb.ts'
import { checkBody } from '../wire/checksums.ts'
import { checkWrite, readConditions } from '../wire/conditions.ts'
import { invalidHeader } from '../wire/refusals.ts'
import { dfsRefusal } from './refusals.ts'
import { changedHeaders, type FileTarget, needOnPath, queryFlag, subjectOf } from './target.ts'
import {
  flushTo,
  leaseForWrite,
  readPosition,
  store,
  uploadHeaders,
  withPiece,
  writableFile,
} from './upload.ts'

// As of a block, whose limits the service shares.
const maxAppendBytes = 4000 * 1024 * 1024

/** Path - Update, `action=append`: keeps a piece for a flush to come, or flushes it at once. */
export const appendData: Verb = {
  name: 'Path - Append',
  matches: ({ face, method, query }) =>
    face === 'dfs' && method === 'PATCH' && query.get('action') === 'append',
  needs: (request) => needOnPath(request, 'write', 'add'),
  run: async (context) => {
    const position = readPosition(context)
    const flush = queryFlag(context.request, 'flush') ?? false
    appendable(context, position)
    const data = await context.request.body(maxAppendBytes)
    if (data.byteLength === 0) {
      throw invalidHeader('Content-Length', '0')
    }
    const confirmed = checkBody(context.request, data)
    const piece = await context.account.extents.write(data)
    // The file may have changed while the bytes came in.
    const target = appendable(context, position)
    const state = {
      ...withPiece(target.state, position, piece),
      lease: leaseForWrite(context, target),
    }
    const headers = { ...confirmed, ...uploadHeaders(context) }
    if (!flush) {
      store(context, target, state)
      return { status: 202, headers }
    }
    const end = position + data.byteLength
    const record = flushTo(context, { ...target, state }, { position: end, retain: true })
    return { status: 202, headers: { ...headers, ...changedHeaders(record) } }
  },
}

function appendable(context: VerbContext, position: number): FileTarget {
  const target = writableFile(context, 'InvalidAppendOperation')
  checkWrite(readConditions(context.request), subjectOf(target.record), 'PathAlreadyExists')
  if (position < target.record.content.sizeBytes) {
    throw dfsRefusal('InvalidFlushPosition')
  }
  return target
}
